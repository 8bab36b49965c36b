//! The machine that a pickle is a program of. It makes values; it calls nothing.

use std::collections::BTreeMap;
use std::io::BufRead;

use crate::base::{Cursor, Fault};
use crate::pickle::opcode::*;
use crate::pickle::spelling::{decimal, digits, named, pairs, raw_unicode};
use crate::pickle::{Graph, Id, Node, Object, numpy};

/// Values of one pickle; each takes some fifty bytes.
const VALUES: usize = 1 << 24;

/// Bytes of a text, or of a number written in digits.
const TEXT: u64 = 64 << 20;

/// The newest protocol (PEP 574).
const PROTOCOL: u8 = 5;

/// Reads one pickle, up to its STOP, and adds its values to the graph.
pub(crate) fn read(cursor: &mut Cursor, graph: &mut Graph) -> Result<Id, Fault> {
    nested(cursor, graph, 0)
}

/// Reads a pickle that lies in so many others.
pub(super) fn nested(cursor: &mut Cursor, graph: &mut Graph, depth: u8) -> Result<Id, Fault> {
    let mut machine = Machine {
        cursor,
        graph,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        depth,
    };
    loop {
        let opcode = machine.cursor.byte()?;
        if opcode == STOP {
            return machine.pop();
        }
        if machine.graph.len() > VALUES {
            return Err(Fault::TooMuch {
                what: "the number of values of a pickle".to_owned(),
                limit: VALUES as u64,
            });
        }
        machine.step(opcode)?;
    }
}

struct Machine<'a> {
    cursor: &'a mut Cursor,
    graph: &'a mut Graph,
    stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: BTreeMap<u64, Id>,
    depth: u8,
}

impl Machine<'_> {
    fn step(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            MARK | POP | POP_MARK | DUP | PROTO | FRAME => self.control(opcode),
            NONE | NEWTRUE | NEWFALSE | FLOAT | INT | BININT | BININT1 | BININT2 | LONG | LONG1
            | LONG4 | BINFLOAT => self.number(opcode),
            STRING | BINSTRING | SHORT_BINSTRING | UNICODE | BINUNICODE | SHORT_BINUNICODE
            | BINUNICODE8 | BINBYTES | SHORT_BINBYTES | BINBYTES8 | BYTEARRAY8 => self.text(opcode),
            EMPTY_LIST | EMPTY_TUPLE | EMPTY_DICT | EMPTY_SET | LIST | TUPLE | TUPLE1 | TUPLE2
            | TUPLE3 | DICT | FROZENSET => self.container(opcode),
            APPEND | APPENDS | SETITEM | SETITEMS | ADDITEMS => self.extend(opcode),
            GET | BINGET | LONG_BINGET | PUT | BINPUT | LONG_BINPUT | MEMOIZE => self.memo(opcode),
            _ => self.object(opcode),
        }
    }

    fn control(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            MARK => self.marks.push(self.stack.len()),
            POP if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
            }
            POP => {
                self.pop()?;
            }
            POP_MARK => {
                self.pop_mark()?;
            }
            DUP => {
                let top = self.top()?;
                self.stack.push(top);
            }
            PROTO => {
                let protocol = self.cursor.byte()?;
                if protocol > PROTOCOL {
                    return Err(Fault::Unsupported(format!("pickle protocol {protocol}")));
                }
            }
            // How the bytes were buffered says nothing about the values.
            _ => {
                self.cursor.array::<8>()?;
            }
        }
        Ok(())
    }

    fn number(&mut self, opcode: u8) -> Result<(), Fault> {
        let node = match opcode {
            NONE => Node::None,
            NEWTRUE => Node::Bool(true),
            NEWFALSE => Node::Bool(false),
            BININT => Node::Int(i64::from(i32::from_le_bytes(self.cursor.array()?))),
            BININT1 => Node::Int(i64::from(self.cursor.byte()?)),
            BININT2 => Node::Int(i64::from(u16::from_le_bytes(self.cursor.array()?))),
            BINFLOAT => Node::Float(f64::from_be_bytes(self.cursor.array()?)),
            LONG1 => {
                let length = u64::from(self.cursor.byte()?);
                self.long(length)?
            }
            LONG4 => {
                let length = u64::from(u32::from_le_bytes(self.cursor.array()?));
                self.long(length)?
            }
            _ => {
                let line = self.line()?;
                match (opcode, line.as_str()) {
                    (INT, "00") => Node::Bool(false),
                    (INT, "01") => Node::Bool(true),
                    (FLOAT, line) => Node::Float(line.parse().map_err(|_| digits(line))?),
                    (_, line) => decimal(line)?,
                }
            }
        };
        self.push(node);
        Ok(())
    }

    /// Reads a whole number of so many bytes.
    fn long(&mut self, length: u64) -> Result<Node, Fault> {
        let bytes = self.cursor.take_source(length)?.whole(TEXT)?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        if bytes.len() > 8 {
            return Ok(Node::Long(bytes.into_boxed_slice()));
        }
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..bytes.len()].copy_from_slice(&bytes);
        Ok(Node::Int(i64::from_le_bytes(wide)))
    }

    fn text(&mut self, opcode: u8) -> Result<(), Fault> {
        let node = match opcode {
            STRING => {
                let line = self.line()?;
                let inner = ['\'', '"'].iter().find_map(|quote| {
                    line.strip_prefix(*quote)
                        .and_then(|rest| rest.strip_suffix(*quote))
                });
                Node::Text(
                    inner
                        .ok_or_else(|| self.wrong("has text without quotes"))?
                        .into(),
                )
            }
            UNICODE => {
                let line = self.raw_line()?;
                Node::Text(raw_unicode(&line).into())
            }
            BYTEARRAY8 | BINBYTES8 | BINBYTES | SHORT_BINBYTES => {
                let length = self.length(opcode)?;
                Node::Bytes(self.cursor.take_source(length)?)
            }
            _ => {
                let length = self.length(opcode)?;
                let bytes = self.cursor.take_source(length)?.whole(TEXT)?;
                Node::Text(String::from_utf8_lossy(&bytes).into())
            }
        };
        self.push(node);
        Ok(())
    }

    fn length(&mut self, opcode: u8) -> Result<u64, Fault> {
        Ok(match opcode {
            SHORT_BINSTRING | SHORT_BINUNICODE | SHORT_BINBYTES => u64::from(self.cursor.byte()?),
            BINSTRING | BINUNICODE | BINBYTES => {
                u64::from(u32::from_le_bytes(self.cursor.array()?))
            }
            _ => u64::from_le_bytes(self.cursor.array()?),
        })
    }

    fn container(&mut self, opcode: u8) -> Result<(), Fault> {
        let node = match opcode {
            EMPTY_LIST => Node::List(Vec::new()),
            EMPTY_TUPLE => Node::Tuple(Vec::new()),
            EMPTY_DICT => Node::Dict(Vec::new()),
            EMPTY_SET => Node::Set(Vec::new()),
            LIST => Node::List(self.pop_mark()?),
            TUPLE => Node::Tuple(self.pop_mark()?),
            TUPLE1 => Node::Tuple(self.pop_many(1)?),
            TUPLE2 => Node::Tuple(self.pop_many(2)?),
            TUPLE3 => Node::Tuple(self.pop_many(3)?),
            DICT => Node::Dict(pairs(&self.pop_mark()?)?),
            _ => Node::Set(self.pop_mark()?),
        };
        self.push(node);
        Ok(())
    }

    fn extend(&mut self, opcode: u8) -> Result<(), Fault> {
        let added = match opcode {
            APPEND => self.pop_many(1)?,
            SETITEM => self.pop_many(2)?,
            _ => self.pop_mark()?,
        };
        let onto = self.top()?;
        let keyed = matches!(opcode, SETITEM | SETITEMS);
        match self.graph.get_mut(onto) {
            Some(Node::List(items)) if !keyed => items.extend(added),
            Some(Node::Set(items)) if opcode == ADDITEMS => items.extend(added),
            Some(Node::Dict(entries)) if keyed => entries.extend(pairs(&added)?),
            Some(Node::Object(object)) if keyed => object.entries.extend(pairs(&added)?),
            Some(Node::Object(object)) => object.items.extend(added),
            _ => return Err(self.wrong("adds to what holds nothing")),
        }
        Ok(())
    }

    fn memo(&mut self, opcode: u8) -> Result<(), Fault> {
        let key = match opcode {
            GET | PUT => {
                let line = self.line()?;
                line.parse().map_err(|_| digits(&line))?
            }
            BINGET | BINPUT => u64::from(self.cursor.byte()?),
            LONG_BINGET | LONG_BINPUT => u64::from(u32::from_le_bytes(self.cursor.array()?)),
            _ => self.memo.len() as u64,
        };
        if matches!(opcode, GET | BINGET | LONG_BINGET) {
            let found = self.memo.get(&key).copied();
            let found = found.ok_or_else(|| self.wrong("gets what was never put"))?;
            self.stack.push(found);
        } else {
            let top = self.top()?;
            self.memo.insert(key, top);
        }
        Ok(())
    }

    fn object(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            GLOBAL => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(named(&module, &name));
            }
            STACK_GLOBAL => {
                let pair = self.pop_many(2)?;
                let (Some(module), Some(name)) =
                    (self.graph.text(pair[0]), self.graph.text(pair[1]))
                else {
                    return Err(self.wrong("names what is not text"));
                };
                let node = named(module, name);
                self.push(node);
            }
            EXT1 | EXT2 | EXT4 => {
                let code = match opcode {
                    EXT1 => u32::from(self.cursor.byte()?),
                    EXT2 => u32::from(u16::from_le_bytes(self.cursor.array()?)),
                    _ => u32::from_le_bytes(self.cursor.array()?),
                };
                self.push(named("copyreg extension", &code.to_string()));
            }
            REDUCE | NEWOBJ => {
                let pair = self.pop_many(2)?;
                self.call(pair[0], pair[1], None);
            }
            NEWOBJ_EX => {
                let three = self.pop_many(3)?;
                self.call(three[0], three[1], Some(three[2]));
            }
            INST => {
                let (module, name) = (self.line()?, self.line()?);
                let arguments = Node::Tuple(self.pop_mark()?);
                let callable = self.graph.add(named(&module, &name));
                let arguments = self.graph.add(arguments);
                self.call(callable, arguments, None);
            }
            OBJ => {
                let mut arguments = self.pop_mark()?;
                if arguments.is_empty() {
                    return Err(self.wrong("calls nothing"));
                }
                let callable = arguments.remove(0);
                let arguments = self.graph.add(Node::Tuple(arguments));
                self.call(callable, arguments, None);
            }
            BUILD => self.build()?,
            PERSID => {
                let line = self.line()?;
                let id = self.graph.add(Node::Text(line.into()));
                self.push(Node::Persistent(id));
            }
            BINPERSID => {
                let id = self.pop()?;
                self.push(Node::Persistent(id));
            }
            NEXT_BUFFER => {
                return Err(Fault::Unsupported(
                    "a pickle whose buffers lie elsewhere".to_owned(),
                ));
            }
            READONLY_BUFFER => {}
            unknown => return Err(self.wrong(&format!("has the unknown opcode 0x{unknown:02x}"))),
        }
        Ok(())
    }

    fn call(&mut self, callable: Id, arguments: Id, keywords: Option<Id>) {
        // Protocols before 4 have no sets: they would be made from a list.
        if let Some(("builtins", "set" | "frozenset")) = self.graph.name(callable)
            && let Some([list]) = self.graph.items(arguments)
            && let Node::List(items) = self.graph.get(*list)
        {
            let set = Node::Set(items.clone());
            return self.push(set);
        }
        self.push(Node::Object(Box::new(Object {
            callable,
            arguments,
            keywords,
            state: None,
            items: Vec::new(),
            entries: Vec::new(),
        })));
    }

    /// Sets the state of an object; the bytes of an array of joblib's follow in the file.
    fn build(&mut self) -> Result<(), Fault> {
        let state = self.pop()?;
        let target = self.top()?;
        match self.graph.get_mut(target) {
            Some(Node::Object(object)) => object.state = Some(state),
            _ => return Err(self.wrong("sets the state of what has none")),
        }
        if let Some(node) = numpy::joblib(self.graph, target, self.cursor, self.depth)?
            && let Some(target) = self.graph.get_mut(target)
        {
            *target = node;
        }
        Ok(())
    }

    fn push(&mut self, node: Node) {
        let id = self.graph.add(node);
        self.stack.push(id);
    }

    /// Returns the height below which nothing may be popped.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, Fault> {
        let above = self.stack.get(self.floor()..).and_then(<[Id]>::last);
        above
            .copied()
            .ok_or_else(|| self.wrong("needs a value that is not there"))
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, Fault> {
        let start = self.stack.len().checked_sub(count);
        match start {
            Some(start) if start >= self.floor() => Ok(self.stack.split_off(start)),
            _ => Err(self.wrong("needs a value that is not there")),
        }
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let mark = self
            .marks
            .pop()
            .ok_or_else(|| self.wrong("needs a mark that is not there"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    /// Returns what stands up to the end of the line, as text.
    fn line(&mut self) -> Result<String, Fault> {
        let mut line = self.raw_line()?;
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Returns what stands up to the end of the line.
    fn raw_line(&mut self) -> Result<Vec<u8>, Fault> {
        let mut line = Vec::new();
        let read = std::io::Read::take(&mut *self.cursor, TEXT).read_until(b'\n', &mut line)?;
        if read == 0 || line.pop() != Some(b'\n') {
            return Err(self.wrong("has a line without an end"));
        }
        Ok(line)
    }

    fn wrong(&self, what: &str) -> Fault {
        Fault::malformed(format!(
            "the pickle {what}, before byte {}",
            self.cursor.position()
        ))
    }
}
