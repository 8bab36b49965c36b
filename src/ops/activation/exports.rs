//! Scripts that do nothing but set variables, read without a shell.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

/// What a shell knows while it reads a script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shell {
    pub(super) variables: BTreeMap<String, String>,
    /// Those that programs would get.
    pub(super) exported: BTreeSet<String>,
}

/// The script does more than to set variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotSimple;

impl Shell {
    /// Returns a shell that was started with these variables.
    pub(super) fn new(variables: BTreeMap<String, String>) -> Self {
        Self {
            exported: variables.keys().cloned().collect(),
            variables,
        }
    }

    /// Reads a script; when it is not simple, nothing is changed.
    pub(super) fn read(&mut self, script: &str) -> Result<(), NotSimple> {
        let mut shell = self.clone();
        let mut reader = Reader {
            characters: script.chars().peekable(),
        };
        while reader.statement(&mut shell)? {}
        *self = shell;
        Ok(())
    }

    fn set(&mut self, name: String, value: String, export: bool) {
        if export {
            self.exported.insert(name.clone());
        }
        self.variables.insert(name, value);
    }
}

/// Reads what POSIX calls simple commands, of which it knows assignments and `export`.
struct Reader<'a> {
    characters: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    /// Reads one statement; says whether there may be another.
    fn statement(&mut self, shell: &mut Shell) -> Result<bool, NotSimple> {
        let mut export = false;
        let mut first = true;
        loop {
            self.blanks();
            match self.characters.peek() {
                None => return Ok(false),
                Some('\n' | ';') => {
                    self.characters.next();
                    // `;;` is of another statement's.
                    return Ok(true);
                }
                Some('#') => {
                    while self.characters.next_if(|&c| c != '\n').is_some() {}
                    continue;
                }
                Some(_) => {}
            }
            let name = self.name();
            if self.characters.next_if_eq(&'=').is_some() && !name.is_empty() {
                let value = self.word(shell)?;
                shell.set(name, value, export);
            } else if first && name == "export" && self.at_end_of_word() {
                export = true;
            } else if export && !name.is_empty() && self.at_end_of_word() {
                if shell.variables.contains_key(&name) {
                    shell.exported.insert(name);
                }
            } else if !(first && name == "true" && self.at_end_of_word()) {
                return Err(NotSimple);
            }
            first = false;
        }
    }

    fn blanks(&mut self) {
        while self
            .characters
            .next_if(|c| matches!(c, ' ' | '\t' | '\r'))
            .is_some()
        {}
    }

    fn at_end_of_word(&mut self) -> bool {
        let next = self.characters.peek();
        next.is_none_or(|c| c.is_ascii_whitespace() || *c == ';')
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        let fits = |c: char, first: bool| {
            c == '_' || c.is_ascii_alphabetic() || !first && c.is_ascii_digit()
        };
        while let Some(c) = self.characters.next_if(|&c| fits(c, name.is_empty())) {
            name.push(c);
        }
        name
    }

    /// Reads a word with its quotes and variables.
    fn word(&mut self, shell: &Shell) -> Result<String, NotSimple> {
        let mut word = String::new();
        while !self.at_end_of_word() {
            match self.characters.next() {
                Some('\'') => self.single(&mut word)?,
                Some('"') => self.double(shell, &mut word)?,
                Some('\\') => match self.characters.next() {
                    Some('\n') | None => {}
                    Some(c) => word.push(c),
                },
                Some('$') => self.variable(shell, &mut word)?,
                // A home directory, another command, a pipe, a list.
                Some('~' | '`' | '|' | '&' | '<' | '>' | '(' | ')') | None => {
                    return Err(NotSimple);
                }
                Some(c) => word.push(c),
            }
        }
        Ok(word)
    }

    fn single(&mut self, word: &mut String) -> Result<(), NotSimple> {
        loop {
            match self.characters.next().ok_or(NotSimple)? {
                '\'' => return Ok(()),
                c => word.push(c),
            }
        }
    }

    fn double(&mut self, shell: &Shell, word: &mut String) -> Result<(), NotSimple> {
        loop {
            match self.characters.next().ok_or(NotSimple)? {
                '"' => return Ok(()),
                '`' => return Err(NotSimple),
                '$' => self.variable(shell, word)?,
                '\\' => match self.characters.next().ok_or(NotSimple)? {
                    '\n' => {}
                    c @ ('$' | '`' | '"' | '\\') => word.push(c),
                    c => word.extend(['\\', c]),
                },
                c => word.push(c),
            }
        }
    }

    /// Reads what follows a `$`: `NAME`, `{NAME}`, or `{NAME:-words}` and `{NAME:+words}`.
    fn variable(&mut self, shell: &Shell, word: &mut String) -> Result<(), NotSimple> {
        if self.characters.next_if_eq(&'{').is_none() {
            let name = self.name();
            if name.is_empty() {
                return Err(NotSimple);
            }
            word.push_str(shell.variables.get(&name).map_or("", String::as_str));
            return Ok(());
        }
        let name = self.name();
        if name.is_empty() {
            return Err(NotSimple);
        }
        let value = shell.variables.get(&name).map_or("", String::as_str);
        match self.characters.next() {
            Some('}') => word.push_str(value),
            Some(':') => {
                let operator = self.characters.next();
                let mut other = String::new();
                loop {
                    match self.characters.next().ok_or(NotSimple)? {
                        '}' => break,
                        '$' => self.variable(shell, &mut other)?,
                        '\'' | '"' | '`' | '\\' | '{' => return Err(NotSimple),
                        c => other.push(c),
                    }
                }
                match operator {
                    Some('-') if value.is_empty() => word.push_str(&other),
                    Some('-') => word.push_str(value),
                    Some('+') if value.is_empty() => {}
                    Some('+') => word.push_str(&other),
                    _ => return Err(NotSimple),
                }
            }
            _ => return Err(NotSimple),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(script: &str) -> Result<Vec<String>, NotSimple> {
        let start = BTreeMap::from([("CONDA_PREFIX".to_owned(), "/opt/env".to_owned())]);
        let mut shell = Shell::new(start);
        shell.read(script)?;
        let exported = shell.exported.iter().filter(|name| *name != "CONDA_PREFIX");
        Ok(exported
            .map(|name| format!("{name}={}", shell.variables[name]))
            .collect())
    }

    #[test]
    fn assignments_are_read_as_a_shell_reads_them() {
        for (script, expected) in [
            ("", &[][..]),
            ("#!/bin/sh\n# set it\nexport A=1 # why\n", &["A=1"]),
            (
                "export A='a b' B=\"c $CONDA_PREFIX\"",
                &["A=a b", "B=c /opt/env"],
            ),
            ("A=${CONDA_PREFIX}/x; B=$A\nexport B", &["B=/opt/env/x"]),
            ("export A=\"x:${A:-}${A:+:$A}\"", &["A=x:"]),
            ("export A=${NONE:-d}", &["A=d"]),
            ("export A=\"\\$x\\\\ \\n\"", &["A=$x\\ \\n"]),
            ("export A='it'\"'\"'s'\ntrue\n", &["A=it's"]),
            ("export A='two\nlines'", &["A=two\nlines"]),
            ("export A=a\\ b", &["A=a b"]),
            ("export NONE", &[]),
        ] {
            assert_eq!(read(script).unwrap(), expected, "{script}");
        }
    }

    #[test]
    fn whatever_else_needs_a_shell() {
        for script in [
            "if [ -n \"$A\" ]; then export A=1; fi",
            "export A=$(pwd)",
            "export A=`pwd`",
            "export A=\"`pwd`\"",
            "export A=~/x",
            "unset A",
            "export A=1 && export B=2",
            "A=1 program",
            "export -n A",
            "export A=${B##*/}",
            "export A='open",
            "export A=\"open",
            "export A=$1",
            "B=(1 2)",
            ". other.sh",
        ] {
            assert_eq!(read(script), Err(NotSimple), "{script}");
        }
    }
}
