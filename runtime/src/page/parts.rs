//! Parts that several pages have.

use std::borrow::Cow;

use maud::{Markup, Render, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proto_types::escape;

use super::Params;

/// Severity of a state. Pages show it by a shape, a word and a color.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Needs a remedy.
    Bad,
}

impl Level {
    /// The class of elements of that level.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

impl Render for Level {
    fn render(&self) -> Markup {
        let (shape, word) = match self {
            Self::Good => ("✓", "good"),
            Self::Warning => ("▲", "warning"),
            Self::Bad => ("✗", "bad"),
        };
        html! {
            span class={ "mark " (self.class()) } aria-hidden="true" { (shape) }
            span.unseen { (word) ": " }
        }
    }
}

/// One page of a long list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// Name of the parameter.
    pub name: &'static str,
    /// Number of the page; the first one is 1.
    pub page: usize,
    /// Number of entries of a page.
    pub size: usize,
    /// Number of entries in total.
    pub total: usize,
}

impl Paging {
    /// Returns the page that the parameters ask for, or the last one if there are fewer.
    #[must_use]
    pub fn of(params: &Params, name: &'static str, size: usize, total: usize) -> Self {
        let n_pages = total.div_ceil(size).max(1);
        Self {
            name,
            page: params.page(name).min(n_pages),
            size,
            total,
        }
    }

    /// Number of entries before this page.
    #[must_use]
    pub const fn skipped(&self) -> usize {
        (self.page - 1) * self.size
    }

    /// Returns links to the other pages.
    #[must_use]
    pub fn links(&self, what: &str, path: &str, params: &Params) -> Markup {
        let n_pages = self.total.div_ceil(self.size).max(1);
        let link = |page: usize| params.link(path, self.name, &page.to_string());
        html! {
            @if 1 < n_pages {
                nav.pager aria-label={ "Pages of " (what) } {
                    @if 1 < self.page {
                        a href=(link(self.page - 1)) id={ (self.name) "-previous" } rel="prev" {
                            "Previous"
                        }
                    }
                    span { "Page " (self.page) " of " (n_pages) }
                    @if self.page < n_pages {
                        a href=(link(self.page + 1)) id={ (self.name) "-next" } rel="next" {
                            "Next"
                        }
                    }
                }
            }
        }
    }
}

/// Head of a column.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// Texts.
    Text(&'static str),
    /// Numbers.
    Number(&'static str),
}

/// Returns a table that scrolls by itself where the window is narrow. `label` names it to screen
/// readers: `#id` of its heading, or the name.
#[must_use]
pub fn wide_table(label: &str, columns: &[Column], rows: &Markup) -> Markup {
    let heading = label.strip_prefix('#');
    let name = heading.is_none().then(|| text(label));
    html! {
        div.wide tabindex="0" role="group" aria-labelledby=[heading] aria-label=[name] {
            table {
                thead { tr { @for column in columns { (column) } } }
                tbody { (rows) }
            }
        }
    }
}

impl Render for Column {
    fn render(&self) -> Markup {
        match self {
            Self::Text(name) => html! { th scope="col" { (name) } },
            Self::Number(name) => html! { th.number scope="col" { (name) } },
        }
    }
}

/// Returns a text from outside as it can be shown: hidden characters are escaped.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    escape::text(text)
}

/// Returns a number with its noun, for example `2 problems`.
#[must_use]
pub fn n_of(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

/// Characters of a path's segment that are not escaped.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Returns a name as a segment of a path.
#[must_use]
pub fn segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}
