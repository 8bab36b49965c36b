//! Other tools' files, real ones and made ones.

mod conda;
mod dockerfile;
mod reading;
mod round_trips;
