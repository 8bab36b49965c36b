//! The values of a pickle: a graph, for values may be shared and may hold themselves.

use crate::array::Array;
use crate::base::Source;

/// The place of a value in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u32);

/// All values of a pickle.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
}

/// A value.
#[derive(Debug)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// A whole number beyond 64 bits: little-endian, two's complement.
    Long(Box<[u8]>),
    Float(f64),
    Text(Box<str>),
    Bytes(Source),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Set(Vec<Id>),
    /// What would be imported.
    Name(Box<(String, String)>),
    /// What would be called.
    Object(Box<Object>),
    /// What the program that wrote the pickle keeps elsewhere.
    Persistent(Id),
    /// An array whose bytes joblib put into the pickle.
    Array(Box<Array>),
}

/// A call that is never made, and what would be done to its result.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) callable: Id,
    pub(crate) arguments: Id,
    pub(crate) keywords: Option<Id>,
    pub(crate) state: Option<Id>,
    pub(crate) items: Vec<Id>,
    pub(crate) entries: Vec<(Id, Id)>,
}

impl Graph {
    /// Adds a value.
    pub(crate) fn add(&mut self, node: Node) -> Id {
        // The machine stops long before there are so many.
        let id = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(node);
        Id(id)
    }

    /// Returns how many values there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the places of all values.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> {
        (0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(Id)
    }

    /// Returns a value.
    pub(crate) fn get(&self, id: Id) -> &Node {
        self.nodes.get(id.0 as usize).unwrap_or(&Node::None)
    }

    /// Returns a value to be changed.
    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut Node> {
        self.nodes.get_mut(id.0 as usize)
    }

    /// Returns the items of a list or a tuple.
    pub(crate) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::List(items) | Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// Returns module and name, when the value is something to be imported.
    pub(crate) fn name(&self, id: Id) -> Option<(&str, &str)> {
        match self.get(id) {
            Node::Name(name) => Some((&name.0, &name.1)),
            _ => None,
        }
    }

    /// Returns a text.
    pub(crate) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a whole number.
    pub(crate) fn int(&self, id: Id) -> Option<i64> {
        match self.get(id) {
            Node::Int(value) => Some(*value),
            Node::Bool(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// Returns lengths: a tuple of whole numbers, none below zero.
    pub(crate) fn lengths(&self, id: Id) -> Option<Vec<u64>> {
        let lengths = self.items(id)?.iter();
        lengths
            .map(|item| u64::try_from(self.int(*item)?).ok())
            .collect()
    }

    /// Returns the value of an attribute in a state that is a dict.
    pub(crate) fn attribute(&self, state: Id, name: &str) -> Option<Id> {
        let Node::Dict(entries) = self.get(state) else {
            return None;
        };
        let found = entries
            .iter()
            .rev()
            .find(|(key, _)| self.text(*key) == Some(name));
        found.map(|(_, value)| *value)
    }
}
