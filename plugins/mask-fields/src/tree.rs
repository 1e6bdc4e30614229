//! The paths of all actions as one tree, so that a document is read once.

use crate::path::{self, Step};
use pointsman_plugin::json::Text;

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Mask,
    Hash,
    Remove,
}

impl Action {
    pub(crate) const ALL: [Action; 3] = [Action::Mask, Action::Hash, Action::Remove];

    /// As the settings call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Action::Mask => "mask",
            Action::Hash => "hash",
            Action::Remove => "remove",
        }
    }
}

/// A place that some path goes through or ends at.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// The way here, for complaints.
    pub(crate) path: String,
    /// Where a path ends. Then none goes on.
    pub(crate) action: Option<Action>,
    pub(crate) members: Vec<(Box<[u8]>, Node)>,
    pub(crate) elements: Option<Box<Node>>,
}

impl Node {
    /// The tree with nothing in it.
    pub(crate) fn root() -> Node {
        Node { path: "$".to_owned(), ..Node::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.action.is_none() && self.is_last()
    }

    /// Adds a path.
    pub(crate) fn add(&mut self, path: &str, action: Action) -> Result<(), String> {
        let mut node = self;
        for step in path::parse(path)? {
            if let Some(other) = node.action {
                return Err(format!("{path}: {} is in `{}` as a whole already", node.path, other.name()));
            }
            node = node.step(step)?;
        }
        if let Some(other) = node.action {
            return Err(format!("{path}: it is in `{}` already", other.name()));
        }
        if !node.is_last() {
            return Err(format!("{path}: a field within it is named too; leave one of the two out"));
        }
        if action == Action::Remove && node.path == "$" {
            return Err("$ is the whole document, of which nothing would be left".to_owned());
        }
        node.action = Some(action);
        Ok(())
    }

    /// The member of this name, and its place among those that are named.
    #[inline]
    pub(crate) fn member(&self, name: &Text<'_>) -> Option<(usize, &Node)> {
        let mut members = self.members.iter().enumerate();
        members.find(|(_, (member, _))| name.is(member)).map(|(at, (_, node))| (at, node))
    }

    fn is_last(&self) -> bool {
        self.members.is_empty() && self.elements.is_none()
    }

    fn step(&mut self, step: Step) -> Result<&mut Node, String> {
        match step {
            Step::Elements => {
                let path = format!("{}[*]", self.path);
                Ok(self.elements.get_or_insert_with(|| Box::new(Node { path, ..Node::default() })))
            }
            Step::Member(name) => {
                let known = self.members.iter().position(|(member, _)| **member == *name.as_bytes());
                let at = known.unwrap_or_else(|| {
                    let path = match (self.path.as_str(), name.contains(['.', '[', '"']) || name.is_empty()) {
                        (here, true) => format!("{here}[\"{name}\"]"),
                        ("$", false) => name.clone(),
                        (here, false) => format!("{here}.{name}"),
                    };
                    self.members.push((name.as_bytes().into(), Node { path, ..Node::default() }));
                    self.members.len() - 1
                });
                if at == MEMBERS_MAX {
                    return Err(format!("more than {MEMBERS_MAX} fields of {} are named", self.path));
                }
                Ok(&mut self.members[at].1)
            }
        }
    }
}

/// As many as one number has bits, which tell those that were seen.
const MEMBERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[(&str, Action)]) -> Result<Node, String> {
        let mut root = Node::root();
        paths.iter().try_for_each(|&(path, action)| root.add(path, action))?;
        Ok(root)
    }

    #[test]
    fn places_know_how_they_are_written() {
        let root = tree(&[("a.b[*].c", Action::Mask), (r#"a["x.y"]"#, Action::Hash), ("$[*]", Action::Mask)]).unwrap();
        let a = &root.members[0].1;
        assert_eq!(a.members[0].1.elements.as_ref().unwrap().members[0].1.path, "a.b[*].c");
        assert_eq!(a.members[1].1.path, r#"a["x.y"]"#);
        assert_eq!(root.elements.unwrap().path, "$[*]");
    }

    #[test]
    fn paths_that_meet_are_refused() {
        let error = |paths: &[_]| tree(paths).unwrap_err();
        assert_eq!(error(&[("a", Action::Mask), ("a", Action::Hash)]), "a: it is in `mask` already");
        assert_eq!(error(&[("a", Action::Remove), ("a.b", Action::Hash)]), "a.b: a is in `remove` as a whole already");
        let within = "a: a field within it is named too; leave one of the two out";
        assert_eq!(error(&[("a[*].b", Action::Hash), ("a", Action::Mask)]), within);
        assert_eq!(error(&[("$", Action::Remove)]), "$ is the whole document, of which nothing would be left");
        let many: Vec<String> = (0..=MEMBERS_MAX).map(|number| format!("a.f{number}")).collect();
        let many: Vec<_> = many.iter().map(|path| (path.as_str(), Action::Mask)).collect();
        assert_eq!(error(&many), "more than 64 fields of a are named");
        assert!(tree(&many[..64]).is_ok());
    }
}
