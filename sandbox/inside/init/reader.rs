//! The plan as init sees it: a private mapping of the sealed file, read in place.

use core::mem::size_of;
use core::slice;

use crate::kernel::{self, Text};
use crate::plan::{Header, Limit, MAGIC, Operation, Parameter, Span};
use crate::syscall::{Errno, Result, call, number};

const EINVAL: Errno = 22;

/// The mapped plan. It stays mapped until the process ends or executes something else.
#[derive(Clone, Copy)]
pub struct Plan {
    base: *mut u8,
}

impl Plan {
    /// Maps the plan. The supervisor made it, so its offsets are trusted; the magic number guards
    /// against a wrong descriptor.
    pub fn map(descriptor: i32) -> Result<Plan> {
        const PROT_READ_WRITE: usize = 3;
        const MAP_PRIVATE: usize = 2;
        let page = Plan::map_size(
            descriptor,
            size_of::<Header>(),
            PROT_READ_WRITE,
            MAP_PRIVATE,
        )?;
        let size = page.header().size as usize;
        if page.header().magic != MAGIC {
            return Err(EINVAL);
        }
        let plan = Plan::map_size(descriptor, size, PROT_READ_WRITE, MAP_PRIVATE)?;
        kernel::close(descriptor);
        Ok(plan)
    }

    fn map_size(descriptor: i32, size: usize, protection: usize, flags: usize) -> Result<Plan> {
        // SAFETY: the kernel picks an unused place, so nothing that exists is overwritten.
        let base = unsafe {
            call(
                number::MMAP,
                [0, size, protection, flags, descriptor as usize, 0],
            )
        }?;
        Ok(Plan {
            base: base as *mut u8,
        })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        // SAFETY: the mapping is page aligned, at least a page long and starts with a header.
        unsafe { &*self.base.cast::<Header>() }
    }

    /// The bytes of a span.
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.table(span)
    }

    /// The string at an offset.
    pub fn text(&self, offset: u64) -> Text<'_> {
        // SAFETY: the encoder ends every string with a zero byte inside the mapping.
        unsafe { Text::new(self.base.add(offset as usize)) }
    }

    /// The operations on mounts.
    pub fn operations(&self) -> &[Operation] {
        self.table(self.header().operations)
    }

    /// The parameters of a filesystem.
    pub fn parameters(&self, operation: &Operation) -> &[Parameter] {
        self.table(operation.parameters)
    }

    /// The resource limits.
    pub fn limits(&self) -> &[Limit] {
        self.table(self.header().limits)
    }

    /// The offsets of the paths to try to execute.
    pub fn candidates(&self) -> &[u64] {
        self.table(self.header().candidates)
    }

    fn table<T>(&self, span: Span) -> &[T] {
        // SAFETY: the encoder aligns tables to 8 bytes and keeps them inside the mapping; every
        // element type here is made of integers, for which all bit patterns are valid.
        unsafe {
            slice::from_raw_parts(
                self.base.add(span.offset as usize).cast(),
                span.count as usize,
            )
        }
    }

    /// Turns a table of offsets into the null-terminated array of pointers that `execve` takes.
    /// Call it once per table.
    pub fn pointers(&self, span: Span) -> usize {
        // SAFETY: the table lies inside the mapping, is followed by a zero, and no reference to it
        // exists at this time. The mapping is private and writable.
        let table = unsafe {
            let start = self.base.add(span.offset as usize).cast::<u64>();
            slice::from_raw_parts_mut(start, span.count as usize)
        };
        for entry in table.iter_mut() {
            *entry += self.base as u64;
        }
        table.as_ptr() as usize
    }
}
