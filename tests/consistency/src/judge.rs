//! Decision whether what one client received is legal.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::truth::{Key, Shown, Truth, View};

/// Type of a watch event that shows an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// `ADDED`.
    Added,
    /// `MODIFIED`.
    Modified,
    /// `DELETED`.
    Deleted,
}

/// One thing that a client received or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seen {
    /// Complete list, of one request or of all pages, or the initial events of a WatchList.
    Listed {
        /// Resource version of the list.
        revision: u64,
        /// Objects.
        objects: Shown,
        /// View under which the server answered: an index into the client's views.
        view: usize,
    },
    /// Watch that was accepted at the client's resource version, or at that of its list.
    Resumed {
        /// View under which the server answered.
        view: usize,
    },
    /// Event.
    Event {
        /// Type.
        verb: Verb,
        /// Object.
        key: Key,
        /// Resource version of the object in the event.
        revision: u64,
    },
    /// Bookmark.
    Bookmark {
        /// Resource version.
        revision: u64,
    },
    /// 410: the client has to list.
    Expired,
    /// End of a watch for any other reason.
    Cut,
    /// End of the run, when everything had been sent.
    End,
}

/// Violation of the rules, at one position of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("item {at}: {why}")]
pub struct Illegal {
    /// Position.
    pub at: usize,
    /// Rule.
    pub why: String,
}

/// What a view shows over time, in each history.
struct Shows(Vec<Vec<(u64, Shown)>>);

impl Shows {
    fn at(&self, history: usize, revision: u64) -> &Shown {
        let all = &self.0[history];
        let n = all.partition_point(|(at, _)| *at <= revision);
        &all[n.saturating_sub(1)].1
    }

    /// Returns whether the version of an object at a resource version is shown then, or later: a
    /// replica that did not see all changes of a Service judges by what it listed. It has reached
    /// the later resource version by then, and no client may resume in between.
    fn shows_from(&self, history: usize, key: &Key, revision: u64) -> bool {
        let all = &self.0[history];
        let n = all.partition_point(|(at, _)| *at <= revision);
        let from = all[n.saturating_sub(1)..].iter();
        from.map(|(_, shown)| shown.get(key))
            .any(|it| it == Some(&revision))
    }

    /// Returns whether an object comes, goes or changes in the view after a resource version.
    fn changes_after(&self, history: usize, key: &Key, revision: u64) -> bool {
        let now = self.at(history, revision).get(key);
        let all = &self.0[history];
        let n = all.partition_point(|(at, _)| *at <= revision);
        all[n..].iter().any(|(_, shown)| shown.get(key) != now)
    }
}

/// Client as far as its record was read.
struct Client<'a> {
    views: &'a [View],
    shows: Vec<Rc<Shows>>,
    truth: &'a Truth,
    /// Histories that everything since the last list fits.
    histories: Vec<usize>,
    view: usize,
    revision: Option<u64>,
    objects: Shown,
    /// Objects that the client had since it listed.
    known: BTreeMap<Key, u64>,
    needs_list: bool,
    /// The client was served under another view since it listed: it must list again.
    is_tainted: bool,
}

/// Judges the records of the clients of one upstream.
pub struct Judge<'a> {
    truth: &'a Truth,
    shows: RefCell<HashMap<View, Rc<Shows>>>,
}

impl<'a> Judge<'a> {
    /// Returns a judge who knows what happened upstream.
    #[must_use]
    pub fn new(truth: &'a Truth) -> Self {
        Self {
            truth,
            shows: RefCell::default(),
        }
    }

    fn shows(&self, view: &View) -> Rc<Shows> {
        let mut all = self.shows.borrow_mut();
        if let Some(shows) = all.get(view) {
            return Rc::clone(shows);
        }
        let histories = self.truth.histories.iter();
        let shows = Rc::new(Shows(histories.map(|it| it.shown(view)).collect()));
        all.insert(view.clone(), Rc::clone(&shows));
        shows
    }

    /// Checks the record of a client that was served under these views, one after another.
    /// Returns the first violation.
    pub fn judge(&self, views: &[View], record: &[Seen]) -> Result<(), Illegal> {
        let mut client = Client {
            views,
            shows: views.iter().map(|view| self.shows(view)).collect(),
            truth: self.truth,
            histories: Vec::new(),
            view: 0,
            revision: None,
            objects: Shown::new(),
            known: BTreeMap::new(),
            needs_list: true,
            is_tainted: false,
        };
        for (at, seen) in record.iter().enumerate() {
            client.take(seen).map_err(|why| Illegal { at, why })?;
        }
        Ok(())
    }
}

impl Client<'_> {
    fn take(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Listed {
                revision,
                objects,
                view,
            } => self.list(*revision, objects, *view),
            Seen::Resumed { view } => self.resume(*view),
            Seen::Event {
                verb,
                key,
                revision,
            } => self.event(*verb, key, *revision),
            Seen::Bookmark { revision } => {
                if self.is_tainted {
                    return Ok(());
                }
                self.reach(*revision)?;
                self.keep(|client, history| {
                    let shown = client.shows[client.view].at(history, *revision);
                    let has = |(key, at): (&Key, &u64)| shown.get(key) == Some(at);
                    // A list may reveal a deletion before its resource version.
                    client.objects.iter().all(has) && client.is_on_its_way(history, *revision)
                })
                .map_err(|()| format!("bookmark {revision}, and something was missed before"))
            }
            Seen::Expired => {
                self.needs_list = true;
                Ok(())
            }
            Seen::Cut => Ok(()),
            Seen::End if self.needs_list => Ok(()),
            Seen::End if self.is_tainted => {
                Err("a watch resumed under another view than its client listed".into())
            }
            Seen::End => {
                let last = self.truth.histories.len() - 1;
                let end = self.truth.histories[last].end;
                match self.shows[self.view].at(last, end) == &self.objects {
                    true => Ok(()),
                    false => Err("the client does not have what its view shows in the end".into()),
                }
            }
        }
    }

    fn list(&mut self, revision: u64, objects: &Shown, view: usize) -> Result<(), String> {
        self.view = view;
        self.histories = (0..self.truth.histories.len()).collect();
        self.keep(|client, history| {
            revision <= client.truth.histories[history].end
                && client.shows[view].at(history, revision) == objects
        })
        .map_err(|()| format!("list {revision} is not what the view shows at that revision"))?;
        self.objects.clone_from(objects);
        self.known = objects.clone();
        self.revision = Some(revision);
        self.needs_list = false;
        self.is_tainted = false;
        Ok(())
    }

    /// A replica may not know yet that the view changed; then it ends the watch when it does.
    fn resume(&mut self, view: usize) -> Result<(), String> {
        if self.needs_list {
            return Err("a watch resumed though the client had to list".into());
        }
        self.is_tainted |= self.views[view] != self.views[self.view];
        Ok(())
    }

    fn event(&mut self, verb: Verb, key: &Key, revision: u64) -> Result<(), String> {
        if self.needs_list {
            return Err("an event though the client had to list".into());
        }
        if self.is_tainted {
            return Ok(());
        }
        self.reach(revision)?;
        let has = self.objects.contains_key(key);
        match verb {
            Verb::Added if has => return Err(format!("ADDED {key}, which the client has")),
            // After a deletion that came early, another replica may know both as one change.
            Verb::Modified if !has && !self.known.contains_key(key) => {
                return Err(format!("MODIFIED {key}, which it has not"));
            }
            // A deletion may come again to a client that was cut off between several.
            Verb::Deleted if !has && !self.known.contains_key(key) => {
                return Err(format!("DELETED {key}, which it never had"));
            }
            Verb::Deleted => drop(self.objects.remove(key)),
            Verb::Added | Verb::Modified => {
                self.objects.insert(key.clone(), revision);
                self.known.insert(key.clone(), revision);
                self.keep(|client, history| {
                    let shows = &client.shows[client.view];
                    shows.shows_from(history, key, revision)
                })
                .map_err(|()| {
                    format!("{key} at {revision} is not a version that the view shows")
                })?;
            }
        }
        self.keep(|client, history| client.is_on_its_way(history, revision))
            .map_err(|()| format!("{verb:?} {key} at {revision}: something was missed before"))
    }

    /// Returns whether all that the client lacks or has too much changes later.
    fn is_on_its_way(&self, history: usize, revision: u64) -> bool {
        let shows = &self.shows[self.view];
        let shown = shows.at(history, revision);
        let keys = shown.keys().chain(self.objects.keys());
        let mut differing = keys.filter(|key| shown.get(*key) != self.objects.get(*key));
        differing.all(|key| shows.changes_after(history, key, revision))
    }

    fn reach(&mut self, revision: u64) -> Result<(), String> {
        match self.revision {
            Some(former) if revision < former => {
                Err(format!("revision {revision} comes after {former}"))
            }
            _ => {
                self.revision = Some(revision);
                Ok(())
            }
        }
    }

    /// Keeps the histories that fit; an error if none does.
    fn keep(&mut self, fits: impl Fn(&Self, usize) -> bool) -> Result<(), ()> {
        let histories = self.histories.iter().copied();
        let kept: Vec<usize> = histories.filter(|it| fits(self, *it)).collect();
        self.histories = kept;
        match self.histories.is_empty() {
            true => Err(()),
            false => Ok(()),
        }
    }
}
