//! The page: HTML 5, well-formed as XML is.

mod differences;
mod document;
mod markup;
mod plot;
mod sections;
mod tower;

pub use document::page;
