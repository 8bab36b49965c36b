//! `report`: runs as one page to read.
//!
//! Comes in: the records of runs, and the outputs that the store keeps. Goes out: a [`Report`]; and
//! of that [`page()`], one HTML file that stands alone.
//!
//! The page needs no script and loads nothing; it follows the reader's light or dark, and prints.
//! What the state of a block is, words say beside the colour.
//!
//! **Invariant:** nothing that a record says becomes markup
//! (`what_records_say_is_never_markup`).
//! **Invariant:** the page loads nothing (`the_page_stands_alone`).

mod gather;
mod page;
#[cfg(test)]
mod tests;

pub use gather::{Report, ReportedRun, report};
pub use page::page;
