//! Other tools' files, real ones and made ones.

mod exports;
mod reading;
