//! Encoding what init is told. The layout is `inside/plan.rs`; every word is a little-endian `u64`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::operation::{Filesystem, Held, Operation};
use super::wire::{self, Header, Limit, MADE, MAGIC, OPENING_PREPARES, SHORT_TEXT, Span};

/// What init needs to enter its namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// A set of `OPENING_*`.
    pub flags: u64,
    /// The `CLONE_NEW*` flags of all namespaces but the user namespace.
    pub namespaces: u64,
    /// The text of the uid map.
    pub uid_map: String,
    /// The text of the gid map.
    pub gid_map: String,
    /// The text of the clock offsets; empty without a time namespace.
    pub clock_offsets: String,
    /// Filesystems to make before the plan is there.
    pub made: Vec<Filesystem>,
}

impl Opening {
    /// Returns the message.
    pub fn encode(&self) -> [u8; size_of::<wire::Opening>()] {
        let texts = [&self.uid_map, &self.gid_map, &self.clock_offsets];
        let prepares = match self.made.is_empty() {
            true => 0,
            false => OPENING_PREPARES,
        };
        let words = [self.flags | prepares, self.namespaces].map(u64::to_le_bytes);
        let mut bytes = words.concat();
        for text in texts {
            assert!(text.len() <= SHORT_TEXT, "it is made of numbers: `{text}`");
            bytes.extend((text.len() as u64).to_le_bytes());
            let end = bytes.len() + SHORT_TEXT;
            bytes.extend(text.as_bytes());
            bytes.resize(end, 0);
        }
        bytes.try_into().expect("as many bytes as the message has")
    }

    /// Returns the plan of what is made beforehand, if that is something.
    pub fn preparations(&self) -> Option<Result<Vec<u8>, EncodeError>> {
        let made = self.made.iter().cloned();
        let operations: Vec<Operation> = made.map(Operation::nowhere).collect();
        (!operations.is_empty()).then(|| {
            let plan = Plan {
                operations,
                ..Plan::default()
            };
            encode(&plan, &[])
        })
    }
}

/// Everything else that init needs to know.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// A set of `FLAG_*`.
    pub flags: u64,
    /// The host name.
    pub hostname: String,
    /// The NIS domain name.
    pub domainname: String,
    /// The host path of the rootfs.
    pub rootfs: PathBuf,
    /// The attributes of the rootfs.
    pub root_attributes: u64,
    /// The operations, in order.
    pub operations: Vec<Operation>,
    /// The resource limits.
    pub limits: Vec<Limit>,
    /// The file mode creation mask.
    pub umask: u32,
    /// The execution domain.
    pub personality: u64,
    /// The processors that the step may run on, as a bit mask; empty for the caller's.
    pub processors: Vec<u64>,
    /// The seccomp filter, one instruction a word.
    pub filter: Vec<u64>,
    /// The guest path of the working directory.
    pub directory: PathBuf,
    /// The paths to try to execute.
    pub candidates: Vec<Vec<u8>>,
    /// The arguments.
    pub arguments: Vec<Vec<u8>>,
    /// The environment, as `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    /// Rows and columns of the terminal.
    pub window: (u16, u16),
}

/// Why a plan cannot be encoded.
#[derive(Debug, thiserror::Error)]
#[error("a zero byte in `{}`", text.escape_ascii())]
pub struct EncodeError {
    /// The string with the zero byte.
    pub text: Vec<u8>,
}

/// Encodes a plan, for an init that has made some filesystems already.
pub fn encode(plan: &Plan, made: &[Filesystem]) -> Result<Vec<u8>, EncodeError> {
    let mut arena = Arena {
        bytes: vec![0; size_of::<Header>()],
        made: Made(made.iter().cloned().map(Some).collect()),
    };
    let mut header = Header {
        magic: MAGIC,
        flags: plan.flags,
        ..Header::default()
    };
    header.hostname = arena.text_span(&plan.hostname)?;
    header.domainname = arena.text_span(&plan.domainname)?;
    header.rootfs = arena.text(&plan.rootfs)?;
    header.root_attributes = plan.root_attributes;
    header.operations = arena.operations(&plan.operations)?;
    let limits = plan
        .limits
        .iter()
        .flat_map(|limit| [limit.resource, limit.soft, limit.hard]);
    header.limits = arena.table(&limits.collect::<Vec<_>>(), 3);
    header.umask = plan.umask.into();
    header.personality = plan.personality;
    header.processors = arena.table(&plan.processors, 1);
    header.processors.count *= 8;
    header.filter = arena.table(&plan.filter, 1);
    header.directory = arena.text(&plan.directory)?;
    header.candidates = arena.texts(&plan.candidates)?;
    header.arguments = arena.texts(&plan.arguments)?;
    header.environment = arena.texts(&plan.environment)?;
    (header.rows, header.columns) = (plan.window.0.into(), plan.window.1.into());
    header.size = arena.bytes.len() as u64;
    for (place, word) in arena.bytes.chunks_exact_mut(8).zip(header_words(&header)) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    Ok(arena.bytes)
}

/// The header, field by field in the order of its declaration.
fn header_words(header: &Header) -> [u64; size_of::<Header>() / 8] {
    let span = |span: Span| [span.offset, span.count];
    let [host, domain] = [header.hostname, header.domainname].map(span);
    let [operations, limits] = [header.operations, header.limits].map(span);
    let [processors, filter] = [header.processors, header.filter].map(span);
    let [candidates, arguments, environment] =
        [header.candidates, header.arguments, header.environment].map(span);
    let fields: [&[u64]; 16] = [
        &[header.magic, header.size, header.flags],
        &host,
        &domain,
        &[header.rootfs, header.root_attributes],
        &operations,
        &limits,
        &[header.umask, header.personality],
        &processors,
        &filter,
        &[header.directory],
        &candidates,
        &arguments,
        &environment,
        &[header.rows],
        &[header.columns],
        &[],
    ];
    fields
        .concat()
        .try_into()
        .expect("as many words as the header has")
}

/// Filesystems that were made beforehand, each for one mount.
struct Made(Vec<Option<Filesystem>>);

impl Made {
    /// Returns the descriptor of a filesystem that is as wanted, or zero.
    fn take(&mut self, wanted: &Filesystem) -> u64 {
        let fits = |made: &Option<Filesystem>| made.as_ref() == Some(wanted);
        match self.0.iter().position(fits) {
            Some(index) => {
                self.0[index] = None;
                MADE + index as u64
            }
            None => 0,
        }
    }
}

/// A growing plan.
struct Arena {
    bytes: Vec<u8>,
    made: Made,
}

impl Arena {
    /// Appends a terminated string and returns its offset.
    fn text(&mut self, text: impl AsRef<OsStr>) -> Result<u64, EncodeError> {
        self.text_bytes(text.as_ref().as_bytes())
    }

    fn text_bytes(&mut self, text: &[u8]) -> Result<u64, EncodeError> {
        if text.contains(&0) {
            return Err(EncodeError {
                text: text.to_vec(),
            });
        }
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        Ok(offset)
    }

    fn text_span(&mut self, text: &str) -> Result<Span, EncodeError> {
        Ok(Span {
            offset: self.text(text)?,
            count: text.len() as u64,
        })
    }

    /// Appends strings and the table of their offsets, with a zero after the last.
    fn texts(&mut self, texts: &[Vec<u8>]) -> Result<Span, EncodeError> {
        let mut offsets = Vec::with_capacity(texts.len() + 1);
        for text in texts {
            offsets.push(self.text_bytes(text)?);
        }
        offsets.push(0);
        let count = texts.len() as u64;
        Ok(Span {
            count,
            ..self.table(&offsets, 1)
        })
    }

    /// Appends bytes of any kind.
    fn raw(&mut self, bytes: &[u8]) -> Span {
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        Span {
            offset,
            count: bytes.len() as u64,
        }
    }

    /// Appends a table of elements of `width` words each.
    fn table(&mut self, words: &[u64], width: usize) -> Span {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let offset = self.bytes.len() as u64;
        self.bytes
            .extend(words.iter().flat_map(|word| word.to_le_bytes()));
        Span {
            offset,
            count: (words.len() / width) as u64,
        }
    }

    fn operations(&mut self, operations: &[Operation]) -> Result<Span, EncodeError> {
        const WIDTH: usize = size_of::<wire::Operation>() / 8;
        let mut words = Vec::with_capacity(operations.len() * WIDTH);
        for operation in operations {
            let entry = self.operation(operation)?;
            let parameters = entry.parameters;
            words.extend([
                entry.kind,
                entry.flags,
                entry.source,
                entry.target,
                entry.name,
            ]);
            words.extend([entry.value, parameters.offset, parameters.count]);
        }
        Ok(self.table(&words, WIDTH))
    }

    fn operation(&mut self, operation: &Operation) -> Result<wire::Operation, EncodeError> {
        let mut entry = wire::Operation::default();
        match operation {
            Operation::Bind {
                source,
                target,
                attributes,
            } => {
                entry.kind = wire::OPERATION_BIND;
                (entry.source, entry.target) = (self.text(source)?, self.text(target)?);
                entry.value = *attributes;
            }
            Operation::Rebind {
                source,
                target,
                attributes,
            } => {
                entry.kind = wire::OPERATION_REBIND;
                entry.flags = wire::OPERATION_FLAG_OPTIONAL;
                (entry.source, entry.target) = (self.text(source)?, self.text(target)?);
                entry.value = *attributes;
            }
            Operation::Mount {
                filesystem,
                target,
                optional,
            } => {
                entry = self.filesystem(filesystem)?;
                entry.flags = match optional {
                    true => wire::OPERATION_FLAG_OPTIONAL,
                    false => 0,
                };
                entry.target = self.text(target)?;
                entry.name = self.made.take(filesystem);
            }
            Operation::Root { filesystem } => {
                entry = self.filesystem(filesystem)?;
                entry.kind = wire::OPERATION_ROOT;
            }
            Operation::Times { target, seconds } => {
                entry.kind = wire::OPERATION_TIMES;
                entry.target = self.text(target)?;
                entry.value = *seconds;
            }
            Operation::Hold { source, descriptor } => {
                entry.kind = wire::OPERATION_HOLD;
                entry.value = u64::from(descriptor.unsigned_abs());
                let (path, flags) = match source {
                    Held::Host(path) => (path, 0),
                    Held::Guest(path) => (path, wire::OPERATION_FLAG_GUEST),
                };
                (entry.source, entry.flags) = (self.text(path)?, flags);
            }
            Operation::Directory { parent, name, mode }
            | Operation::Fifo { parent, name, mode }
            | Operation::File {
                parent, name, mode, ..
            } => {
                entry.kind = match operation {
                    Operation::Directory { .. } => wire::OPERATION_DIRECTORY,
                    Operation::Fifo { .. } => wire::OPERATION_FIFO,
                    _ => wire::OPERATION_FILE,
                };
                if let Operation::File { content, .. } = operation {
                    entry.parameters = self.raw(content);
                }
                (entry.target, entry.name) = (self.text(parent)?, self.text(name)?);
                entry.value = u64::from(*mode);
            }
            Operation::Link {
                parent,
                name,
                content,
            } => {
                entry.kind = wire::OPERATION_LINK;
                (entry.target, entry.name) = (self.text(parent)?, self.text(name)?);
                entry.source = self.text(content)?;
            }
            Operation::Attributes { target, attributes } => {
                entry.kind = wire::OPERATION_ATTRIBUTES;
                entry.target = self.text(target)?;
                entry.value = *attributes;
            }
        }
        Ok(entry)
    }

    fn filesystem(&mut self, filesystem: &Filesystem) -> Result<wire::Operation, EncodeError> {
        Ok(wire::Operation {
            kind: wire::OPERATION_MOUNT,
            source: self.text(filesystem.kind)?,
            value: filesystem.attributes,
            parameters: self.parameters(&filesystem.parameters)?,
            ..wire::Operation::default()
        })
    }

    fn parameters(&mut self, parameters: &[(&str, Option<String>)]) -> Result<Span, EncodeError> {
        let mut words = Vec::with_capacity(parameters.len() * 2);
        for (key, value) in parameters {
            words.push(self.text(key)?);
            words.push(value.as_ref().map_or(Ok(0), |value| self.text(value))?);
        }
        Ok(self.table(&words, 2))
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::{Filesystem, MADE, Made, Opening, Plan, encode, header_words};
    use crate::init::wire::{self, Header, MAGIC, SHORT_TEXT, Span};

    #[test]
    fn encoding_is_a_function() {
        let plan = Plan {
            hostname: "envbox".to_owned(),
            arguments: vec![b"a".to_vec()],
            ..Plan::default()
        };
        let bytes = encode(&plan, &[]).unwrap();
        assert_eq!(bytes, encode(&plan, &[]).unwrap());
        assert_eq!(bytes[..8], MAGIC.to_le_bytes());
        assert_eq!(bytes[8..16], (bytes.len() as u64).to_le_bytes());
    }

    #[test]
    fn an_opening_stands_where_init_reads_it() {
        let opening = Opening {
            flags: 3,
            gid_map: "1000 0 1\n".to_owned(),
            ..Opening::default()
        };
        let bytes = opening.encode();
        assert_eq!(bytes[0], 3);
        let place = offset_of!(wire::Opening, gid_map);
        assert_eq!(bytes[place..place + 8], 9_u64.to_le_bytes());
        assert_eq!(&bytes[place + 8..place + 18], b"1000 0 1\n\0");
        let longest = u64::MAX.to_string();
        let lines = format!("monotonic -{longest} {longest}\nboottime -{longest} {longest}\n");
        assert!(lines.len() <= SHORT_TEXT);
    }

    #[test]
    fn each_filesystem_that_was_made_is_mounted_once() {
        let filesystem = |size: &str| Filesystem {
            kind: "tmpfs",
            parameters: vec![("size", Some(size.to_owned()))],
            attributes: 6,
        };
        let mut made = Made(vec![Some(filesystem("1m")), Some(filesystem("2m"))]);
        assert_eq!(made.take(&filesystem("2m")), MADE + 1);
        assert_eq!(made.take(&filesystem("2m")), 0);
        assert_eq!(made.take(&filesystem("3m")), 0);
        assert_eq!(made.take(&filesystem("1m")), MADE);
    }

    #[test]
    fn a_zero_byte_is_refused() {
        let plan = Plan {
            arguments: vec![b"a\0b".to_vec()],
            ..Plan::default()
        };
        assert_eq!(
            encode(&plan, &[]).unwrap_err().to_string(),
            "a zero byte in `a\\x00b`"
        );
    }

    #[test]
    fn header_words_follow_the_declaration() {
        let span = |n| Span {
            offset: n,
            count: n + 1,
        };
        let header = Header {
            magic: 0,
            size: 1,
            hostname: span(3),
            rootfs: 7,
            operations: span(9),
            umask: 13,
            processors: span(15),
            filter: span(17),
            directory: 19,
            environment: span(24),
            rows: 26,
            columns: 27,
            ..Header::default()
        };
        let words = header_words(&header);
        for index in [0, 1, 3, 4, 7, 9, 10, 13, 15, 16, 17, 18, 19, 24, 25, 26, 27] {
            assert_eq!(words[index], index as u64);
        }
    }
}
