//! The envbox command.
fn main() {}
