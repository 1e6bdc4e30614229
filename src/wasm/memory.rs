//! The limit on a plugin's memory, over everything that one instance holds.

use wasmtime::ResourceLimiter;

/// Sums the memories and tables of one store. Wasmtime's own limit is per memory, of which a component may have
/// thousands.
pub(super) struct Memory {
    max: u64,
    total: u64,
    /// What the growth under way added, to be taken back if the system refuses it.
    growing: u64,
    /// The size that was asked for and refused since the last call began.
    refused: Option<u64>,
}

impl Memory {
    pub(super) fn new(max: u64) -> Memory {
        Memory { max, total: 0, growing: 0, refused: None }
    }

    /// Bytes held now.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn call_begins(&mut self) {
        self.refused = None;
    }

    /// Why the trap that followed came, if a refusal preceded it.
    pub(super) fn refusal(&self) -> Option<String> {
        let asked = self.refused?;
        Some(format!("memory.max = {} reached: the plugin asked for {asked} bytes", bytes(self.max)))
    }

    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>, unit: usize) -> bool {
        // Past its own maximum a memory does not grow, whatever we say.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        let more = desired.saturating_sub(current).saturating_mul(unit) as u64;
        let asked = self.total.saturating_add(more);
        if asked > self.max {
            self.refused = Some(asked);
            return false;
        }
        self.total = asked;
        self.growing = more;
        true
    }

    fn grow_failed(&mut self) {
        self.total -= self.growing;
        self.growing = 0;
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, maximum, 1))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.grow_failed();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, maximum, TABLE_ELEMENT_BYTES))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.grow_failed();
        Ok(())
    }

    fn instances(&self) -> usize {
        CORE_ITEMS_MAX
    }

    fn tables(&self) -> usize {
        CORE_ITEMS_MAX
    }

    fn memories(&self) -> usize {
        CORE_ITEMS_MAX
    }
}

/// A size as the config file writes it, where that is exact.
pub(super) fn bytes(size: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    match size {
        size if size >= MIB && size.is_multiple_of(MIB) => format!("{} MiB", size / MIB),
        size if size >= KIB && size.is_multiple_of(KIB) => format!("{} KiB", size / KIB),
        size => format!("{size} bytes"),
    }
}

/// A table element is a pointer in the host.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// Core instances, tables and memories of one component: each costs the host bookkeeping that no guest memory
/// shows. Python's, the largest known, has about forty.
const CORE_ITEMS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_are_summed() {
        let mut memory = Memory::new(1000);
        assert!(memory.memory_growing(0, 600, None).unwrap());
        assert!(memory.table_growing(0, 50, None).unwrap());
        assert_eq!(memory.total(), 1000);
        assert!(!memory.memory_growing(0, 1, None).unwrap());
        assert_eq!(memory.refusal().unwrap(), "memory.max = 1000 bytes reached: the plugin asked for 1001 bytes");
        memory.call_begins();
        assert_eq!(memory.refusal(), None);
    }

    #[test]
    fn growth_that_the_system_refused_is_taken_back() {
        let mut memory = Memory::new(1000);
        assert!(memory.memory_growing(0, 600, None).unwrap());
        memory.memory_grow_failed(wasmtime::Error::msg("no pages")).unwrap();
        assert_eq!(memory.total(), 0);
    }

    #[test]
    fn sizes_read_as_in_the_config_file() {
        assert_eq!(bytes(64 << 20), "64 MiB");
        assert_eq!(bytes(1536), "1536 bytes");
        assert_eq!(bytes(2048), "2 KiB");
    }
}
