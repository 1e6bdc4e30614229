//! Which topics are there: asked once for each, before the first record goes to it.

use crate::cli::terminal::say;
use std::collections::HashMap;

/// What the check asks of a cluster. The errors are for the user.
pub(super) trait Cluster: Send {
    /// Whether the topic is there.
    fn has(&mut self, topic: &str) -> Result<bool, String>;

    /// Makes a topic; `None` leaves the number of its partitions to the broker.
    fn create(&mut self, topic: &str, partitions: Option<i32>) -> Result<(), String>;

    /// The topic that was perhaps meant by a name that is none's.
    fn nearest(&mut self, topic: &str) -> Option<String>;

    /// How messages name it.
    fn address(&self) -> String;
}

/// The topics that were met.
pub(super) struct Topics<C> {
    cluster: C,
    create: Create,
    /// By name: nothing, or why the topic cannot be written to.
    known: HashMap<String, Result<(), String>>,
    last: String,
}

/// What to do about a topic that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Create {
    /// It is an error.
    No,
    /// Make it, with so many partitions or as many as the broker likes.
    Yes(Option<i32>),
}

/// Why a topic cannot be written to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TopicError {
    /// The cluster did not answer.
    Unreachable(String),
    /// It is not there.
    Absent(String),
}

impl<C: Cluster> Topics<C> {
    pub(super) fn new(cluster: C, create: Create) -> Topics<C> {
        Topics { cluster, create, known: HashMap::new(), last: String::new() }
    }

    /// Asks for a topic, before anything is read.
    pub(super) fn require(&mut self, topic: &str) -> Result<(), TopicError> {
        let is_there = self.cluster.has(topic).map_err(TopicError::Unreachable)?;
        let found = match self.create {
            _ if is_there => Ok(()),
            Create::Yes(partitions) => self.create(topic, partitions),
            Create::No => Err(self.absent(topic)),
        };
        self.known.insert(topic.to_owned(), found.clone());
        found.map_err(TopicError::Absent)
    }

    /// Whether records can go there.
    pub(super) fn check(&mut self, topic: &str) -> Result<(), String> {
        // Mostly one line's topic is that of the line before.
        if topic == self.last && !topic.is_empty() {
            return Ok(());
        }
        let known = match self.known.get(topic) {
            Some(known) => known.clone(),
            None => match self.require(topic) {
                // The producer has its own patience, and its own words.
                Ok(()) | Err(TopicError::Unreachable(_)) => Ok(()),
                Err(TopicError::Absent(why)) => Err(why),
            },
        };
        if known.is_ok() {
            self.last.clear();
            self.last.push_str(topic);
        }
        known
    }

    fn create(&mut self, topic: &str, partitions: Option<i32>) -> Result<(), String> {
        self.cluster.create(topic, partitions)?;
        say(format!("created topic {topic} on {}", self.cluster.address()));
        Ok(())
    }

    fn absent(&mut self, topic: &str) -> String {
        let advice = match self.cluster.nearest(topic) {
            Some(meant) => format!("did you mean {meant}? --create-topics would create it"),
            None => "--create-topics creates it".to_owned(),
        };
        format!("topic {topic} does not exist on {}; {advice}", self.cluster.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::nearest::nearest;

    struct Fake {
        topics: Vec<String>,
        calls: usize,
        is_down: bool,
    }

    impl Cluster for Fake {
        fn has(&mut self, topic: &str) -> Result<bool, String> {
            self.calls += 1;
            if self.is_down {
                return Err("down".to_owned());
            }
            Ok(self.topics.iter().any(|name| name == topic))
        }

        fn create(&mut self, topic: &str, _: Option<i32>) -> Result<(), String> {
            self.topics.push(topic.to_owned());
            Ok(())
        }

        fn nearest(&mut self, topic: &str) -> Option<String> {
            nearest(topic, self.topics.iter().map(String::as_str)).map(str::to_owned)
        }

        fn address(&self) -> String {
            "127.0.0.1:9092".to_owned()
        }
    }

    fn topics(create: Create) -> Topics<Fake> {
        Topics::new(Fake { topics: vec!["orders".to_owned()], calls: 0, is_down: false }, create)
    }

    #[test]
    fn an_absent_topic_is_an_error_that_says_what_to_do() {
        let mut topics = topics(Create::No);
        let why = "topic payments does not exist on 127.0.0.1:9092; --create-topics creates it";
        assert_eq!(topics.require("payments"), Err(TopicError::Absent(why.to_owned())));
        assert_eq!(topics.check("payments"), Err(why.to_owned()));
        assert_eq!(topics.check("orders"), Ok(()));
        let why = "topic ordres does not exist on 127.0.0.1:9092; did you mean orders? --create-topics would create it";
        assert_eq!(topics.check("ordres"), Err(why.to_owned()));
    }

    #[test]
    fn an_absent_topic_is_created_where_that_is_asked_for() {
        let mut topics = topics(Create::Yes(Some(6)));
        assert_eq!(topics.require("payments"), Ok(()));
        assert_eq!(topics.cluster.topics, ["orders", "payments"]);
    }

    #[test]
    fn each_topic_is_asked_for_once() {
        let mut topics = topics(Create::No);
        for topic in ["orders", "absent", "orders", "absent", "orders", "orders"] {
            assert_eq!(topics.check(topic).is_ok(), topic == "orders");
        }
        assert_eq!(topics.cluster.calls, 2);
    }

    #[test]
    fn a_cluster_that_is_away_stops_the_start_and_not_the_rest() {
        let mut topics = topics(Create::No);
        topics.cluster.is_down = true;
        assert_eq!(topics.require("orders"), Err(TopicError::Unreachable("down".to_owned())));
        assert_eq!(topics.check("orders"), Ok(()));
    }
}
