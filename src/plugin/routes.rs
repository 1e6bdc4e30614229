//! Which chain the records of a topic go through.

use std::collections::HashMap;
use std::sync::Arc;

/// Which chain a topic's records go through, by number; 0 is that of all other topics.
#[derive(Debug, Default)]
pub struct Routes {
    names: HashMap<String, usize>,
    /// Longest first.
    beginnings: Vec<(String, usize)>,
}

impl Routes {
    /// A topic's own chain.
    pub fn name(&mut self, topic: &str, chain: usize) {
        self.names.insert(topic.to_owned(), chain);
    }

    /// The chain of every topic that begins so and has no longer beginning in common with another chain.
    pub fn beginning(&mut self, beginning: &str, chain: usize) {
        self.beginnings.push((beginning.to_owned(), chain));
        self.beginnings.sort_by_key(|(beginning, _)| std::cmp::Reverse(beginning.len()));
    }

    /// Whether there is but one chain.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.beginnings.is_empty()
    }

    /// The most specific one counts.
    pub fn chain_of(&self, topic: &str) -> usize {
        if self.is_empty() {
            return 0;
        }
        let beginning = || self.beginnings.iter().find(|(beginning, _)| topic.starts_with(beginning.as_str()));
        self.names.get(topic).copied().or_else(|| beginning().map(|(_, chain)| *chain)).unwrap_or(0)
    }
}

/// What is wrong with a topic that an interceptor chose, if anything is; `None` where every topic is right.
pub type MayGoTo = Option<Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_before_the_longest_beginning() {
        let mut routes = Routes::default();
        assert_eq!(routes.chain_of("orders"), 0);
        routes.beginning("orders.", 1);
        routes.beginning("orders.eu.", 2);
        routes.name("orders.eu.x", 3);
        let chains = ["orders", "orders.", "orders.us", "orders.eu.", "orders.eu.y", "orders.eu.x", "orders.eu.x2"];
        assert_eq!(chains.map(|topic| routes.chain_of(topic)), [0, 1, 1, 2, 2, 3, 2]);
        routes.beginning("", 4);
        assert_eq!(routes.chain_of("payments"), 4);
    }
}
