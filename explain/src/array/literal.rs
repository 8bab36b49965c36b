//! Python literals, as the header of a `.npy` file has them: read, never evaluated.

use crate::base::Fault;

/// Literals within literals.
const DEPTH: usize = 32;

/// A Python literal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    None,
    Bool(bool),
    Int(i64),
    Text(String),
    /// A tuple or a list.
    Sequence(Vec<Self>),
    Dict(Vec<(Self, Self)>),
}

impl Literal {
    /// Reads one literal; nothing but white space may follow.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let mut parser = Parser { rest: text };
        let literal = parser.value(0)?;
        parser.space();
        if parser.rest.is_empty() {
            Ok(literal)
        } else {
            Err(parser.wrong())
        }
    }

    /// Returns the value of a key, when this is a dict that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Dict(entries) = self else {
            return None;
        };
        let found = entries.iter().find(|(name, _)| name.text() == Some(key));
        found.map(|(_, value)| value)
    }

    /// Returns the text, when it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the lengths of a shape, when it is one.
    pub(crate) fn shape(&self) -> Option<Vec<u64>> {
        match self {
            Self::Int(length) => Some(vec![u64::try_from(*length).ok()?]),
            Self::Sequence(items) => items
                .iter()
                .map(|item| match item {
                    Self::Int(length) => u64::try_from(*length).ok(),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn wrong(&self) -> Fault {
        let at: String = self.rest.chars().take(20).collect();
        Fault::malformed(format!(
            "the header is not a Python literal at `{}`",
            crate::base::shown(&at)
        ))
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let Some(rest) = self.rest.strip_prefix(token) else {
            return false;
        };
        self.rest = rest;
        true
    }

    fn value(&mut self, depth: usize) -> Result<Literal, Fault> {
        self.space();
        if depth > DEPTH {
            return Err(self.wrong());
        }
        for (word, literal) in [
            ("None", Literal::None),
            ("True", Literal::Bool(true)),
            ("False", Literal::Bool(false)),
        ] {
            if self.eat(word) {
                return Ok(literal);
            }
        }
        match self.rest.chars().next() {
            Some('{') => self.dict(depth),
            Some('(') => self.sequence(")", depth),
            Some('[') => self.sequence("]", depth),
            Some(quote @ ('\'' | '"')) => self.string(quote),
            Some('0'..='9' | '-') => self.number(),
            _ => Err(self.wrong()),
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Literal, Fault> {
        self.eat("{");
        let mut entries = Vec::new();
        while !self.eat("}") {
            let key = self.value(depth + 1)?;
            if !self.eat(":") {
                return Err(self.wrong());
            }
            entries.push((key, self.value(depth + 1)?));
            if !self.eat(",") && !self.rest.starts_with('}') {
                return Err(self.wrong());
            }
        }
        Ok(Literal::Dict(entries))
    }

    fn sequence(&mut self, close: &str, depth: usize) -> Result<Literal, Fault> {
        self.rest = &self.rest[1..];
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(self.value(depth + 1)?);
            if !self.eat(",") && !self.rest.starts_with(close) {
                return Err(self.wrong());
            }
        }
        Ok(Literal::Sequence(items))
    }

    fn string(&mut self, quote: char) -> Result<Literal, Fault> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                _ if character == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(Literal::Text(text));
                }
                // Names of fields hardly have any; those with a number keep it as it is written.
                '\\' => match characters.next() {
                    Some((_, escaped @ ('\\' | '\'' | '"'))) => text.push(escaped),
                    Some((_, other)) => text.extend(['\\', other]),
                    None => break,
                },
                other => text.push(other),
            }
        }
        Err(self.wrong())
    }

    fn number(&mut self) -> Result<Literal, Fault> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '-');
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let number = digits.parse().map_err(|_| self.wrong())?;
        // Python 2 wrote long integers with an L.
        self.rest = rest.strip_prefix('L').unwrap_or(rest);
        Ok(Literal::Int(number))
    }
}
