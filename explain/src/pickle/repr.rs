//! Values of a pickle, written so that somebody recognises them.

use crate::array::Scalar;
use crate::base::{hex, shown};
use crate::pickle::{Graph, Id, Node};

/// Returns the value as Python would write it, roughly; short, whatever the value is.
pub(super) fn repr(graph: &Graph, id: Id) -> String {
    let mut writer = Writer {
        graph,
        depth: 6,
        items: 16,
        length: 2000,
        out: String::new(),
        whole: true,
    };
    writer.write(id, 0);
    shown(&writer.out)
}

/// A text that tells values apart.
pub(super) struct Key {
    pub(super) text: String,
    /// Whether all of the value is in the text: then equal texts mean equal values.
    pub(super) whole: bool,
}

/// Returns a text that tells keys of dicts and items of sets apart.
pub(super) fn key(graph: &Graph, id: Id) -> Key {
    let mut writer = Writer {
        graph,
        depth: 32,
        items: 1000,
        length: 1 << 16,
        out: String::new(),
        whole: true,
    };
    writer.write(id, 0);
    Key {
        text: writer.out,
        whole: writer.whole,
    }
}

struct Writer<'a> {
    graph: &'a Graph,
    /// Values within values that are written.
    depth: usize,
    /// Items of one value that are written.
    items: usize,
    /// Bytes after which nothing more is written.
    length: usize,
    out: String,
    whole: bool,
}

impl Writer<'_> {
    fn cut(&mut self) {
        self.out.push('…');
        self.whole = false;
    }

    fn write(&mut self, id: Id, depth: usize) {
        if depth > self.depth || self.out.len() > self.length {
            self.cut();
            return;
        }
        let graph = self.graph;
        match graph.get(id) {
            Node::None => self.out.push_str("None"),
            Node::Bool(value) => self.out.push_str(if *value { "True" } else { "False" }),
            Node::Int(value) => self.out.push_str(&value.to_string()),
            Node::Long(bytes) => self.long(bytes),
            Node::Float(value) => self.out.push_str(&Scalar::f64(*value).to_string()),
            Node::Text(text) => self.text(text),
            Node::Bytes(source) => {
                let head = source.head(32).unwrap_or_default();
                self.whole &= source.len() <= 32;
                self.out
                    .push_str(&format!("bytes[{}]({})", source.len(), hex(&head)));
            }
            Node::List(items) => self.many(items, ("[", "]"), depth),
            Node::Tuple(items) => self.many(items, ("(", ")"), depth),
            Node::Set(items) => self.many(items, ("{", "}"), depth),
            Node::Dict(entries) => {
                let items: Vec<Id> = entries
                    .iter()
                    .take(self.items)
                    .map(|(key, _)| *key)
                    .collect();
                self.whole = false;
                self.out.push_str("dict of ");
                self.many(&items, ("{", "}"), depth);
            }
            Node::Name(name) => self.out.push_str(&format!("{}.{}", name.0, name.1)),
            Node::Object(object) => {
                let rest = object.keywords.or(object.state).is_some();
                self.whole &= !rest && object.items.is_empty() && object.entries.is_empty();
                self.write(object.callable, depth + 1);
                match graph.items(object.arguments) {
                    Some(arguments) => self.many(arguments, ("(", ")"), depth),
                    None => self.cut(),
                }
            }
            Node::Persistent(id) => {
                self.whole = false;
                self.out.push_str("elsewhere:");
                self.write(*id, depth + 1);
            }
            Node::Array(array) => {
                self.whole = false;
                self.out.push_str(&array.title());
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.whole &= text.len() <= self.length;
        self.out.push('\'');
        self.out.extend(text.chars().take(self.length));
        self.out.push('\'');
    }

    fn many(&mut self, items: &[Id], (open, close): (&str, &str), depth: usize) {
        self.out.push_str(open);
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                self.out.push_str(", ");
            }
            if position == self.items || self.out.len() > self.length {
                self.cut();
                break;
            }
            self.write(*item, depth + 1);
        }
        self.out.push_str(close);
    }

    /// Writes a number beyond 64 bits in hexadecimal digits.
    fn long(&mut self, little: &[u8]) {
        self.whole &= little.len() <= 64;
        let digits = little
            .iter()
            .rev()
            .take(64)
            .map(|byte| format!("{byte:02x}"));
        self.out
            .push_str(&format!("long:0x{}", digits.collect::<String>()));
    }
}
