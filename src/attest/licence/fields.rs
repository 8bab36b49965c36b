//! Fields as mail headers and Debian's control files have them.
//!
//! Lenient, unlike the readers of what is resolved: what cannot be understood in a licence is a
//! licence that is not known, and no reason to stop.

/// One paragraph's fields, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Paragraph(Vec<(String, String)>);

impl Paragraph {
    /// Returns the value of a field, its lines as they are.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns the values of a field that may be repeated.
    pub(super) fn all<'p>(&'p self, name: &str) -> impl Iterator<Item = &'p str> {
        let fields = self.0.iter();
        let named = fields.filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }
}

/// Returns the paragraphs of a text: empty lines are between them, and lines that begin with white
/// space go on with the field above.
pub(super) fn paragraphs(text: &str) -> Vec<Paragraph> {
    let mut paragraphs = vec![Paragraph::default()];
    for line in text.lines() {
        let fields = &mut paragraphs.last_mut().expect("never empty").0;
        if line.is_empty() {
            if !fields.is_empty() {
                paragraphs.push(Paragraph::default());
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    paragraphs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_what_is_not_quite_well_formed() {
        let text = " lost\n\nA: 1\n 2\r\n\n\nb : x\nno field\nB: y\n";
        let found = paragraphs(text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].get("a"), Some("1\n 2"));
        assert_eq!(found[1].all("B").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(found[1].get("a"), None);
    }
}
