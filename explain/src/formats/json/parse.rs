//! The parser.

use crate::base::Fault;

/// Values within values.
const DEPTH: usize = 150;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// As it is spelt.
    Number(String),
    Text(String),
    Array(Vec<Self>),
    /// Keys in their order; a key may be there twice.
    Object(Vec<(String, Self)>),
}

/// Reads all values of a text, with the line each begins on.
pub(super) fn parse(text: &str) -> Result<Vec<(usize, Json)>, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser { text, at: 0 };
    let mut values = Vec::new();
    let (mut line, mut counted) = (1, 0);
    loop {
        parser.space();
        if parser.at == text.len() {
            return Ok(values);
        }
        line += text[counted..parser.at]
            .bytes()
            .filter(|byte| *byte == b'\n')
            .count();
        counted = parser.at;
        values.push((line, parser.value(0)?));
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn wrong(&self) -> Fault {
        let line = self.text[..self.at]
            .bytes()
            .filter(|byte| *byte == b'\n')
            .count()
            + 1;
        Fault::malformed(format!("no JSON value at line {line}"))
    }

    fn space(&mut self) {
        let space = self
            .rest()
            .bytes()
            .take_while(|byte| b" \t\r\n".contains(byte))
            .count();
        self.at += space;
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Json, Fault> {
        self.space();
        if depth > DEPTH {
            return Err(Fault::malformed("values lie too deep within values"));
        }
        for (word, value) in [
            ("null", Json::Null),
            ("true", Json::Bool(true)),
            ("false", Json::Bool(false)),
        ] {
            if self.eat(word) {
                return Ok(value);
            }
        }
        // Of Python's `json`.
        for word in ["NaN", "Infinity", "-Infinity"] {
            if self.eat(word) {
                return Ok(Json::Number(word.to_owned()));
            }
        }
        match self.rest().bytes().next() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.wrong()),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, Fault> {
        self.at += 1;
        let mut entries = Vec::new();
        if self.eat("}") {
            return Ok(Json::Object(entries));
        }
        loop {
            self.space();
            let key = self.string()?;
            if !self.eat(":") {
                return Err(self.wrong());
            }
            entries.push((key, self.value(depth + 1)?));
            if self.eat("}") {
                return Ok(Json::Object(entries));
            }
            if !self.eat(",") {
                return Err(self.wrong());
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, Fault> {
        self.at += 1;
        let mut items = Vec::new();
        if self.eat("]") {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eat("]") {
                return Ok(Json::Array(items));
            }
            if !self.eat(",") {
                return Err(self.wrong());
            }
        }
    }

    fn number(&mut self) -> Result<Json, Fault> {
        let part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        let length = self.rest().bytes().take_while(part).count();
        let number = self.rest()[..length].to_owned();
        if number.parse::<f64>().is_err() {
            return Err(self.wrong());
        }
        self.at += length;
        Ok(Json::Number(number))
    }

    fn string(&mut self) -> Result<String, Fault> {
        if !self.rest().starts_with('"') {
            return Err(self.wrong());
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let plain = self.rest().find(['"', '\\']).ok_or_else(|| self.wrong())?;
            out.push_str(&self.rest()[..plain]);
            self.at += plain + 1;
            if self.text.as_bytes()[self.at - 1] == b'"' {
                return Ok(out);
            }
            out.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Result<char, Fault> {
        let letter = self.rest().chars().next().ok_or_else(|| self.wrong())?;
        self.at += letter.len_utf8();
        Ok(match letter {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '"' | '\\' | '/' => letter,
            'u' => {
                let high = self.four()?;
                // Two halves of a character beyond the first 65536.
                if (0xd800..0xdc00).contains(&high) && self.rest().starts_with("\\u") {
                    let before = self.at;
                    self.at += 2;
                    let low = self.four()?;
                    if (0xdc00..0xe000).contains(&low) {
                        let both = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        return Ok(char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    self.at = before;
                }
                char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err(self.wrong()),
        })
    }

    fn four(&mut self) -> Result<u32, Fault> {
        let digits = self
            .rest()
            .get(..4)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let number = number.ok_or_else(|| self.wrong())?;
        self.at += 4;
        Ok(number)
    }
}
