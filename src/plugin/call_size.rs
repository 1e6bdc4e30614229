//! How many records a plugin's calls may have.

/// As many as there are, unless a plugin is too slow for so many within its time: then fewer. It is found out from below, as
/// a call that runs out of time costs all of that time and an instance.
#[derive(Debug)]
pub(super) struct CallSize {
    most: usize,
    /// Twice as many were too many, the last time that this was tried.
    is_found: bool,
    /// Calls with the most since then.
    full: u32,
}

/// Where it begins: what a call itself costs is small beside that of so many records.
const FIRST: usize = 64;
/// More than a lane ever has for a call.
const ENOUGH: usize = 1024;
/// Full calls after which it is tried again whether twice as many are too many: it may have been the machine's fault.
const TRY_AGAIN: u32 = 1000;

impl Default for CallSize {
    fn default() -> CallSize {
        CallSize { most: FIRST, is_found: false, full: 0 }
    }
}

impl CallSize {
    pub(super) fn most(&self) -> usize {
        if self.most < ENOUGH { self.most } else { usize::MAX }
    }

    /// A call was answered.
    pub(super) fn answered(&mut self, records: usize) {
        if records < self.most || self.most >= ENOUGH {
            return;
        }
        self.full += 1;
        if !self.is_found || self.full == TRY_AGAIN {
            (self.most, self.full) = (self.most * 2, 0);
        }
    }

    /// A call ran out of time for the number of its records, as far as can be told. Of a single one it is not that.
    pub(super) fn was_too_many(&mut self, records: usize) {
        if records > 1 {
            self.most = self.most.min(records / 2);
            (self.is_found, self.full) = (true, 0);
        }
    }

    /// Calls down to so many ran out of time, and none was answered: it may be slow, or its first record is to blame. Below
    /// that it begins anew.
    pub(super) fn begin_below(&mut self, records: usize) {
        self.was_too_many(records);
        self.is_found = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_until_it_is_too_much_and_tries_again_seldom() {
        let mut size = CallSize::default();
        let sizes: Vec<usize> = (0..3)
            .map(|_| {
                size.answered(size.most);
                size.most
            })
            .collect();
        assert_eq!(sizes, [128, 256, 512]);
        // Smaller calls say nothing.
        size.answered(511);
        assert_eq!(size.most(), 512);
        size.was_too_many(512);
        for _ in 0..TRY_AGAIN - 1 {
            size.answered(256);
        }
        assert_eq!(size.most(), 256);
        size.answered(256);
        assert_eq!(size.most(), 512);
        for _ in 0..TRY_AGAIN {
            size.answered(512);
        }
        assert_eq!(size.most(), usize::MAX);
    }

    #[test]
    fn one_record_is_the_least() {
        let mut size = CallSize::default();
        size.was_too_many(2);
        size.was_too_many(1);
        assert_eq!(size.most(), 1);
    }
}
