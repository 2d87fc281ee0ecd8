//! Defects that are planted into legal records. Each returns `None` where it has no place.

use consistency::{Seen, Verb};

type Plant = fn(&[Seen]) -> Option<Vec<Seen>>;

/// All defects, by name.
pub(crate) const ALL: [(&str, Plant); 12] = [
    ("a deletion is lost", |seen| without(seen, Verb::Deleted)),
    ("an addition is lost", |seen| without(seen, Verb::Added)),
    ("an addition comes twice", twice),
    ("a list lacks an object", list_lacks),
    ("a list shows an object of nowhere", list_has_more),
    ("a list has an older version", list_is_older),
    (
        "a list is of a later revision than it says",
        list_is_relabelled,
    ),
    ("a bookmark is too early", early_bookmark),
    ("a 410 is swallowed", swallowed),
    ("a watch resumes under another view", other_view),
    ("an event shows a version of nowhere", wrong_version),
    ("a revision goes back", going_back),
];

fn edited(seen: &[Seen], at: usize, edit: impl FnOnce(&mut Vec<Seen>, usize)) -> Option<Vec<Seen>> {
    let mut seen = seen.to_vec();
    edit(&mut seen, at);
    Some(seen)
}

/// Position of the last event of a type whose object has no later event or list.
fn last_event(seen: &[Seen], of: Verb) -> Option<usize> {
    let begin = seen
        .iter()
        .rposition(|it| matches!(it, Seen::Listed { .. }))?;
    let keys = |it: &Seen| match it {
        Seen::Event { key, .. } => Some(key.clone()),
        _ => None,
    };
    let of_type = |it: &Seen| matches!(it, Seen::Event { verb, .. } if *verb == of);
    (begin..seen.len())
        .rev()
        .find(|&i| of_type(&seen[i]) && seen[i + 1..].iter().all(|it| keys(it) != keys(&seen[i])))
}

fn without(seen: &[Seen], verb: Verb) -> Option<Vec<Seen>> {
    edited(seen, last_event(seen, verb)?, |seen, at| {
        drop(seen.remove(at));
    })
}

fn twice(seen: &[Seen]) -> Option<Vec<Seen>> {
    edited(seen, last_event(seen, Verb::Added)?, |seen, at| {
        let event = seen[at].clone();
        seen.insert(at, event);
    })
}

/// Position of the last list with objects.
fn list(seen: &[Seen]) -> Option<usize> {
    seen.iter()
        .rposition(|it| matches!(it, Seen::Listed { objects, .. } if !objects.is_empty()))
}

fn list_lacks(seen: &[Seen]) -> Option<Vec<Seen>> {
    edited(seen, list(seen)?, |seen, at| {
        if let Seen::Listed { objects, .. } = &mut seen[at] {
            objects.pop_first();
        }
    })
}

fn list_has_more(seen: &[Seen]) -> Option<Vec<Seen>> {
    edited(seen, list(seen)?, |seen, at| {
        if let Seen::Listed { objects, .. } = &mut seen[at] {
            objects.insert("n0/hidden".to_owned(), 7);
        }
    })
}

fn list_is_older(seen: &[Seen]) -> Option<Vec<Seen>> {
    edited(seen, list(seen)?, |seen, at| {
        if let Seen::Listed { objects, .. } = &mut seen[at]
            && let Some(revision) = objects.values_mut().next()
        {
            *revision -= 1;
        }
    })
}

fn list_is_relabelled(seen: &[Seen]) -> Option<Vec<Seen>> {
    edited(seen, list(seen)?, |seen, at| {
        if let Seen::Listed {
            revision, objects, ..
        } = &mut seen[at]
        {
            *revision = objects.values().max().map_or(0, |it| it - 1);
        }
    })
}

/// A bookmark at an event's resource version comes before that event.
fn early_bookmark(seen: &[Seen]) -> Option<Vec<Seen>> {
    edited(seen, last_event(seen, Verb::Added)?, |seen, at| {
        if let Seen::Event { revision, .. } = seen[at] {
            seen.insert(at, Seen::Bookmark { revision });
        }
    })
}

fn swallowed(seen: &[Seen]) -> Option<Vec<Seen>> {
    let at = (0..seen.len()).find(|&i| {
        matches!(seen[i], Seen::Expired) && matches!(seen.get(i + 1), Some(Seen::Listed { .. }))
    })?;
    edited(seen, at, |seen, at| {
        seen[at + 1] = Seen::Resumed { view: 0 };
    })
}

fn other_view(seen: &[Seen]) -> Option<Vec<Seen>> {
    let list = seen
        .iter()
        .rposition(|it| matches!(it, Seen::Listed { .. }))?;
    let resumed = seen
        .iter()
        .rposition(|it| matches!(it, Seen::Resumed { .. }));
    let is_last = |at: &usize| list < *at && !seen[list..].contains(&Seen::Expired);
    edited(seen, resumed.filter(is_last)?, |seen, at| {
        if let Seen::Resumed { view } = &mut seen[at] {
            *view = 3;
        }
    })
}

fn wrong_version(seen: &[Seen]) -> Option<Vec<Seen>> {
    let is_modified = |it: &Seen| {
        matches!(
            it,
            Seen::Event {
                verb: Verb::Modified,
                ..
            }
        )
    };
    edited(seen, seen.iter().rposition(is_modified)?, |seen, at| {
        if let Seen::Event { key, .. } = &mut seen[at] {
            "n9/elsewhere".clone_into(key);
        }
    })
}

fn going_back(seen: &[Seen]) -> Option<Vec<Seen>> {
    edited(seen, last_event(seen, Verb::Modified)?, |seen, at| {
        if let Seen::Event { revision, .. } = &mut seen[at] {
            *revision = 1;
        }
    })
}
