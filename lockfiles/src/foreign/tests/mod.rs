//! Other tools' files, real ones and made ones.

mod conda;
mod reading;
mod round_trips;
