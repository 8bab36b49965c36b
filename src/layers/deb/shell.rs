//! Just enough of the shell's grammar to tell the statements of a maintainer script apart.

/// Returns the statements of a script: keywords that open or close a block and `;;` by themselves,
/// everything else with its words as they are. Comments and line continuations are gone.
///
/// Understands quoting; what it misreads (here-documents, above all) its caller must refuse.
pub(super) fn statements(script: &str) -> Vec<String> {
    let mut reader = Reader::default();
    let text = script.replace("\\\n", " ");
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if reader.quote != Some('\'') => {
                reader.statement.push('\\');
                reader.statement.extend(characters.next());
            }
            '\'' | '"' | '`' => reader.quote(character),
            '(' if reader.statement.ends_with('$') => {
                reader.depth += 1;
                reader.statement.push('(');
            }
            ')' if reader.depth > 0 => {
                reader.depth -= 1;
                reader.statement.push(')');
            }
            _ if reader.quote.is_some() || reader.depth > 0 => reader.statement.push(character),
            '#' if reader.at_word() => while characters.next_if(|&next| next != '\n').is_some() {},
            '\n' => reader.end(),
            ';' => {
                reader.end();
                if characters.next_if_eq(&';').is_some() {
                    reader.found.push(";;".to_owned());
                }
            }
            _ => reader.statement.push(character),
        }
    }
    reader.end();
    reader.found
}

/// Returns the words of a statement without their quotes; `None` when one is put together by the
/// shell when it runs.
pub(super) fn literal_words(statement: &str) -> Option<Vec<String>> {
    if statement.contains(['$', '`', '\\', '*', '?', '{', '~']) {
        return None;
    }
    let words = statement.split_whitespace();
    Some(words.map(|word| word.replace(['"', '\''], "")).collect())
}

#[derive(Default)]
struct Reader {
    found: Vec<String>,
    statement: String,
    quote: Option<char>,
    depth: u32,
}

impl Reader {
    fn quote(&mut self, character: char) {
        self.statement.push(character);
        self.quote = match self.quote {
            None => Some(character),
            Some(open) if open == character => None,
            open => open,
        };
    }

    fn at_word(&self) -> bool {
        self.statement.is_empty() || self.statement.ends_with(char::is_whitespace)
    }

    fn end(&mut self) {
        let statement = std::mem::take(&mut self.statement);
        let mut rest = statement.trim();
        while let Some(keyword) = ["then", "else", "do"]
            .into_iter()
            .find(|keyword| starts_with_word(rest, keyword))
        {
            self.found.push(keyword.to_owned());
            rest = rest[keyword.len()..].trim_start();
        }
        if !rest.is_empty() {
            self.found.push(rest.to_owned());
        }
    }
}

/// Says whether the first word of a statement is `word`.
pub(super) fn starts_with_word(statement: &str, word: &str) -> bool {
    statement.split_whitespace().next() == Some(word)
}
