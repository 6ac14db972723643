//! What the checks find, as a text and as a line of JSON.

use std::fmt::{self, Write};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $check:literal;)*) => {
        /// What is wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// Its name, in texts and in JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$variant => $name,)*
                }
            }

            /// The check that finds it.
            pub fn check(self) -> &'static str {
                match self {
                    $(Kind::$variant => $check,)*
                }
            }
        }
    };
}

kinds! {
    /// An access outside of all allocations.
    OutOfBounds = "out-of-bounds", "memcheck";
    /// An access at no multiple of its size.
    Misaligned = "misaligned", "memcheck";
    /// An access to memory that has been given back.
    UseAfterFree = "use-after-free", "memcheck";
    /// What is given back has been given back before.
    DoubleFree = "double-free", "memcheck";
    /// What is given back is no allocation.
    InvalidFree = "invalid-free", "memcheck";
    /// A copy or fill by the host that leaves its allocation.
    InvalidTransfer = "invalid-transfer", "memcheck";
    /// An allocation that nobody has given back.
    Leak = "leak", "leakcheck";
    /// A read of memory that nobody has written.
    Uninitialised = "uninitialised-read", "initcheck";
    /// Accesses of two threads, one of them a write, that nothing orders.
    Race = "race", "racecheck";
    /// An access to bytes that an asynchronous copy has not written yet.
    PendingCopy = "copy-not-awaited", "racecheck";
    /// Some of a warp's threads at a barrier that all have to execute together.
    DivergentBarrier = "divergent-barrier", "synccheck";
    /// A barrier of the block passes without threads that have exited.
    ExitedThreads = "barrier-without-exited-threads", "synccheck";
    /// A thread that is not in its own member mask.
    CallerNotInMask = "caller-not-in-mask", "synccheck";
    /// A member mask names threads that do not take part.
    AbsentThreads = "mask-names-absent-threads", "synccheck";
    /// Threads wait for one another forever.
    Deadlock = "deadlock", "synccheck";
}

/// Where in a program something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub kernel: String,
    /// By `.loc`; without a name where there is none.
    pub file: String,
    pub line: u32,
    pub ptx_line: u32,
    pub block: [u32; 3],
    pub thread: [u32; 3],
}

/// The memory that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// `global`, `shared`, `local`
    pub space: &'static str,
    /// Of shared and local memory an offset.
    pub address: u64,
    pub allocation: Option<Owner>,
}

/// The allocation that an address is in, or near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Bytes from its start, negative before it.
    pub offset: i64,
    pub bytes: u64,
    /// In words.
    pub what: String,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    /// `write of 4 bytes`
    pub action: String,
    pub memory: Option<Memory>,
    /// `None`: the host did it.
    pub site: Option<Site>,
    /// The other access of a race.
    pub other: Option<(String, Site)>,
    pub note: String,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([x, y, z], [bx, by, bz]) = (self.thread, self.block);
        write!(f, "thread ({x}, {y}, {z}) of block ({bx}, {by}, {bz}) at ")?;
        if !self.file.is_empty() {
            write!(f, "{}:{}, ", self.file, self.line)?;
        }
        write!(f, "PTX line {}", self.ptx_line)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} memory at {:#x}", self.space, self.address)?;
        let Some(Owner {
            offset,
            bytes,
            what,
        }) = &self.allocation
        else {
            return Ok(());
        };
        let past = *offset - *bytes as i64;
        match offset {
            ..0 => write!(f, ", {} bytes before {what}", -offset),
            _ if past >= 0 => write!(f, ", {past} bytes past the end of {what}"),
            _ => write!(f, ", offset {offset} of {what}"),
        }
    }
}

impl Finding {
    /// A finding of which no more than this is known.
    pub fn new(kind: Kind, action: String) -> Finding {
        Finding {
            kind,
            action,
            memory: None,
            site: None,
            other: None,
            note: String::new(),
        }
    }

    /// Some lines of text, for a finding that was made `count` times.
    pub fn text(&self, count: u64) -> String {
        let (kind, check) = (self.kind.name(), self.kind.check());
        let kernel = self.site.as_ref().map(|s| format!(" in {}", s.kernel));
        let mut text = format!("simt: {kind} ({check}){}\n", kernel.unwrap_or_default());
        let mut line = |parts: fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {parts}");
        };
        match &self.memory {
            Some(memory) => line(format_args!("{} in {memory}", self.action)),
            None => line(format_args!("{}", self.action)),
        }
        if let Some(site) = &self.site {
            line(format_args!("  by {site}"));
        }
        if let Some((action, site)) = &self.other {
            line(format_args!("not ordered with an earlier {action}"));
            line(format_args!("  by {site}"));
        }
        if !self.note.is_empty() {
            line(format_args!("{}", self.note));
        }
        if count > 1 {
            line(format_args!("seen {count} times"));
        }
        text
    }

    /// A line of JSON, for a finding that was made `count` times.
    pub fn json(&self, count: u64) -> String {
        let mut json = Object::new();
        json.text("kind", self.kind.name());
        json.text("check", self.kind.check());
        json.number("count", count);
        json.text("action", &self.action);
        if let Some(memory) = &self.memory {
            json.text("space", memory.space);
            json.number("address", memory.address);
            if let Some(owner) = &memory.allocation {
                let mut allocation = Object::new();
                allocation.text("what", &owner.what);
                allocation.number("bytes", owner.bytes);
                allocation.number("offset", owner.offset);
                json.raw("allocation", &allocation.end());
            }
        }
        if let Some(site) = &self.site {
            json.text("kernel", &site.kernel);
            json.site(site);
        }
        if let Some((action, site)) = &self.other {
            let mut other = Object::new();
            other.text("action", action);
            other.site(site);
            json.raw("other", &other.end());
        }
        if !self.note.is_empty() {
            json.text("note", &self.note);
        }
        json.end()
    }
}

/// A JSON object that is being written.
struct Object(String);

impl Object {
    fn new() -> Object {
        Object("{".to_owned())
    }

    fn raw(&mut self, key: &str, value: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{comma}\"{key}\":{value}");
    }

    fn number(&mut self, key: &str, value: impl fmt::Display) {
        self.raw(key, &value.to_string());
    }

    fn text(&mut self, key: &str, value: &str) {
        let mut quoted = "\"".to_owned();
        for c in value.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        self.raw(key, &quoted);
    }

    fn site(&mut self, site: &Site) {
        let list = |[x, y, z]: [u32; 3]| format!("[{x},{y},{z}]");
        self.text("file", &site.file);
        self.number("line", site.line);
        self.number("ptx_line", site.ptx_line);
        self.raw("block", &list(site.block));
        self.raw("thread", &list(site.thread));
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(thread: u32, ptx_line: u32) -> Site {
        Site {
            kernel: "sum".to_owned(),
            file: "a\"b.cu".to_owned(),
            line: 7,
            ptx_line,
            block: [0, 1, 0],
            thread: [thread, 0, 0],
        }
    }

    #[test]
    fn a_race_in_words_and_in_json() {
        let finding = Finding {
            kind: Kind::Race,
            action: "write of 4 bytes".to_owned(),
            memory: Some(Memory {
                space: "global",
                address: 0x1010,
                allocation: Some(Owner {
                    offset: 16,
                    bytes: 64,
                    what: "allocation 2 of 64 bytes by cuMemAlloc_v2".to_owned(),
                }),
            }),
            site: Some(site(3, 20)),
            other: Some(("read of 8 bytes".to_owned(), site(4, 10))),
            note: String::new(),
        };
        let text = "simt: race (racecheck) in sum\n  \
            write of 4 bytes in global memory at 0x1010, offset 16 of allocation 2 of 64 bytes by cuMemAlloc_v2\n    \
            by thread (3, 0, 0) of block (0, 1, 0) at a\"b.cu:7, PTX line 20\n  \
            not ordered with an earlier read of 8 bytes\n    \
            by thread (4, 0, 0) of block (0, 1, 0) at a\"b.cu:7, PTX line 10\n  \
            seen 5 times\n";
        assert_eq!(finding.text(5), text);
        let json = r#"{"kind":"race","check":"racecheck","count":5,"action":"write of 4 bytes","space":"global","#.to_owned()
            + r#""address":4112,"allocation":{"what":"allocation 2 of 64 bytes by cuMemAlloc_v2","bytes":64,"offset":16},"#
            + r#""kernel":"sum","file":"a\"b.cu","line":7,"ptx_line":20,"block":[0,1,0],"thread":[3,0,0],"#
            + r#""other":{"action":"read of 8 bytes","file":"a\"b.cu","line":7,"ptx_line":10,"block":[0,1,0],"thread":[4,0,0]}}"#;
        assert_eq!(finding.json(5), json);
    }

    #[test]
    fn where_an_address_lies() {
        let at = |offset, bytes| Memory {
            space: "global",
            address: 16,
            allocation: Some(Owner {
                offset,
                bytes,
                what: "it".to_owned(),
            }),
        };
        assert!(at(-4, 8).to_string().ends_with(", 4 bytes before it"));
        assert!(
            at(8, 8)
                .to_string()
                .ends_with(", 0 bytes past the end of it")
        );
        assert!(at(7, 8).to_string().ends_with(", offset 7 of it"));
    }
}
