//! Templates of `-o jsonpath`, as kubectl has them: text, paths in braces, and ranges.
//!
//! An index that an array lacks selects nothing; kubectl ends with an error.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

/// A template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// Text as it is.
    Text(String),
    /// Values that a path selects.
    Path(Vec<Step>),
    /// Parts for each value that a path selects.
    Range(Vec<Step>, Vec<Self>),
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// A field.
    Key(String),
    /// An element; a negative index counts from the end.
    Index(i64),
    /// All elements or fields.
    All,
    /// The value itself and all within it.
    Deep,
    /// Elements that a condition holds for.
    Where(Condition),
}

#[derive(Debug, Clone, PartialEq)]
struct Condition {
    path: Vec<Step>,
    /// Comparison with a value; without one, the path selects a value.
    comparison: Option<(String, Value)>,
}

const OPERATORS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];

impl Template {
    /// Reads a template.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.chars().peekable();
        let parts = parts(&mut rest, false);
        let parts = parts.map_err(|why| {
            format!("{text:?} is not a jsonpath template: {why}; write it as {{.sources[*].name}}")
        })?;
        Ok(Self(parts))
    }

    /// Writes a document by the template. What a path does not find is empty.
    pub(crate) fn render(&self, document: &Value) -> String {
        let mut text = String::new();
        render(&self.0, document, &mut text);
        text
    }
}

type Rest<'a> = Peekable<Chars<'a>>;

fn parts(rest: &mut Rest<'_>, is_range: bool) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    while let Some(character) = rest.next() {
        if character != '{' {
            text.push(character);
            continue;
        }
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        let inner = braced(rest)?;
        let inner = inner.trim();
        if inner == "end" {
            return match is_range {
                true => Ok(parts),
                false => Err("{end} without {range}".to_owned()),
            };
        } else if let Some(over) = inner.strip_prefix("range ") {
            let over = path(over.trim())?;
            parts.push(Part::Range(over, self::parts(rest, true)?));
        } else if inner.starts_with(['"', '\'']) {
            parts.push(Part::Text(quoted(&mut inner.chars().peekable())?));
        } else {
            parts.push(Part::Path(path(inner)?));
        }
    }
    if is_range {
        return Err("{range} without {end}".to_owned());
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

/// Text up to the brace that closes, which quotes may contain.
fn braced(rest: &mut Rest<'_>) -> Result<String, String> {
    let mut inner = String::new();
    let mut quote = None;
    while let Some(character) = rest.next() {
        match character {
            '}' if quote.is_none() => return Ok(inner),
            '\\' => {
                inner.push(character);
                inner.extend(rest.next());
                continue;
            }
            '"' | '\'' if quote == Some(character) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(character),
            _ => {}
        }
        inner.push(character);
    }
    Err("a brace is not closed".to_owned())
}

/// A quoted text, with its escapes.
fn quoted(rest: &mut Rest<'_>) -> Result<String, String> {
    let quote = rest.next();
    let mut text = String::new();
    while let Some(character) = rest.next() {
        match character {
            _ if Some(character) == quote => return Ok(text),
            '\\' => match rest.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                other => text.extend(other),
            },
            _ => text.push(character),
        }
    }
    Err("a quote is not closed".to_owned())
}

fn path(text: &str) -> Result<Vec<Step>, String> {
    let text = text.strip_prefix(['$', '@']).unwrap_or(text);
    let mut rest = text.chars().peekable();
    let mut steps = Vec::new();
    while let Some(&character) = rest.peek() {
        match character {
            '[' => {
                rest.next();
                steps.push(bracketed(&mut rest)?);
            }
            '.' => {
                rest.next();
                match rest.peek() {
                    Some('.') => steps.push(Step::Deep),
                    Some('[') | None => {}
                    Some(_) => steps.push(field(&mut rest)?),
                }
            }
            _ => steps.push(field(&mut rest)?),
        }
    }
    Ok(steps)
}

fn field(rest: &mut Rest<'_>) -> Result<Step, String> {
    let mut name = String::new();
    while let Some(character) = rest.next_if(|it| !['.', '[', ']'].contains(it)) {
        match character {
            '\\' => name.extend(rest.next()),
            _ if character.is_whitespace() => return Err(format!("a space follows {name:?}")),
            _ => name.push(character),
        }
    }
    match name.as_str() {
        "" => Err("a name is missing".to_owned()),
        "*" => Ok(Step::All),
        _ => Ok(Step::Key(name)),
    }
}

/// Reads a selection in brackets; the first bracket is read.
fn bracketed(rest: &mut Rest<'_>) -> Result<Step, String> {
    let mut inner = String::new();
    let (mut quote, mut depth) = (None, 0_usize);
    for character in rest.by_ref() {
        match character {
            ']' if quote.is_none() && depth == 0 => return selected(inner.trim()),
            '[' if quote.is_none() => depth += 1,
            ']' if quote.is_none() => depth -= 1,
            '"' | '\'' if quote == Some(character) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(character),
            _ => {}
        }
        inner.push(character);
    }
    Err("a bracket is not closed".to_owned())
}

fn selected(inner: &str) -> Result<Step, String> {
    if inner == "*" {
        return Ok(Step::All);
    }
    if inner.starts_with(['"', '\'']) {
        return Ok(Step::Key(quoted(&mut inner.chars().peekable())?));
    }
    if let Some(condition) = inner.strip_prefix("?(").and_then(|it| it.strip_suffix(')')) {
        return Ok(Step::Where(self::condition(condition)?));
    }
    let index = inner.parse();
    index
        .map(Step::Index)
        .map_err(|_| format!("[{inner}] is no index, quoted name, [*] or [?(@.name==\"value\")]"))
}

fn condition(text: &str) -> Result<Condition, String> {
    let found = OPERATORS.iter().find_map(|it| {
        let (left, right) = text.split_once(it)?;
        Some((left, *it, right))
    });
    let Some((left, operator, right)) = found else {
        let path = path(text.trim())?;
        let comparison = None;
        return Ok(Condition { path, comparison });
    };
    let right = right.trim();
    let value = if right.starts_with(['"', '\'']) {
        Value::String(quoted(&mut right.chars().peekable())?)
    } else {
        let value = serde_json::from_str(right);
        value.map_err(|_| format!("{right} is no number, true, false, null or quoted text"))?
    };
    Ok(Condition {
        path: path(left.trim())?,
        comparison: Some((operator.to_owned(), value)),
    })
}

fn render(parts: &[Part], document: &Value, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(it) => text.push_str(it),
            Part::Path(steps) => {
                let found: Vec<_> = select(document, steps).into_iter().map(plain).collect();
                text.push_str(&found.join(" "));
            }
            Part::Range(steps, inner) => {
                for each in select(document, steps) {
                    render(inner, each, text);
                }
            }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn select<'a>(document: &'a Value, steps: &[Step]) -> Vec<&'a Value> {
    let mut found = vec![document];
    for step in steps {
        found = found.into_iter().flat_map(|it| one(it, step)).collect();
    }
    found
}

fn one<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    let children = || match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    match step {
        Step::Key(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            let index = match usize::try_from(*index) {
                Ok(index) => Some(index),
                Err(_) => usize::try_from(index.unsigned_abs())
                    .ok()
                    .and_then(|it| items.len().checked_sub(it)),
            };
            index.and_then(|it| items.get(it)).into_iter().collect()
        }
        Step::All => children(),
        Step::Deep => {
            let within = children().into_iter().flat_map(|it| one(it, step));
            std::iter::once(value).chain(within).collect()
        }
        Step::Where(condition) => {
            let mut children = children();
            children.retain(|it| holds(it, condition));
            children
        }
    }
}

fn holds(value: &Value, condition: &Condition) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};

    let found = select(value, &condition.path);
    let Some(found) = found.first() else {
        return false;
    };
    let Some((operator, wanted)) = &condition.comparison else {
        return true;
    };
    let order = match (found, wanted) {
        (Value::String(found), Value::String(wanted)) => Some(found.cmp(wanted)),
        (Value::Number(found), Value::Number(wanted)) => {
            let (found, wanted) = (found.as_f64(), wanted.as_f64());
            found.zip(wanted).and_then(|(a, b)| a.partial_cmp(&b))
        }
        _ => (*found == wanted).then_some(Equal),
    };
    match operator.as_str() {
        "==" => order == Some(Equal),
        "!=" => order != Some(Equal),
        "<" => order == Some(Less),
        ">" => order == Some(Greater),
        "<=" => matches!(order, Some(Less | Equal)),
        _ => matches!(order, Some(Greater | Equal)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Template;

    fn document() -> Value {
        json!({
            "leader": true,
            "sources": [
                {"name": "east", "objects": 3, "state": "synced", "a.b/c": "x"},
                {"name": "west", "objects": 0, "state": "stale"},
            ],
        })
    }

    fn render(template: &str) -> String {
        Template::parse(template).unwrap().render(&document())
    }

    #[test]
    fn templates_are_those_of_kubectl() {
        for (template, wanted) in [
            ("{.leader}", "true"),
            ("{$.sources[0].name}", "east"),
            ("{.sources[-1].name}", "west"),
            ("{.sources[*].name}", "east west"),
            ("{.sources[*]['name']}", "east west"),
            (r"{.sources[0].a\.b/c}", "x"),
            ("{.sources[?(@.state==\"stale\")].name}", "west"),
            ("{.sources[?(@.objects>0)].name}", "east"),
            ("{.sources[?(@.objects!=3)].name}", "west"),
            ("{.sources[?(@.a\\.b/c)].name}", "east"),
            (
                "{range .sources[*]}{.name}={.state}{\"\\n\"}{end}",
                "east=synced\nwest=stale\n",
            ),
            ("leader: {.leader}!", "leader: true!"),
            ("{'}'}", "}"),
            ("{..state}", "synced stale"),
            ("{.missing.field}", ""),
            ("{.sources[7].name}", ""),
            ("{.sources[?(@.objects>=3)].objects}", "3"),
        ] {
            assert_eq!(render(template), wanted, "{template}");
        }
        assert_eq!(render("{}"), document().to_string());
    }

    #[test]
    fn a_wrong_template_has_a_cause() {
        for (template, wanted) in [
            ("{.a", "brace is not closed"),
            ("{.a[0}", "bracket is not closed"),
            ("{.a[x]}", "[x] is no index"),
            ("{range .a}", "without {end}"),
            ("{end}", "without {range}"),
            ("{.a b}", "a space follows"),
            ("{.a[?(@.b==c)]}", "c is no number"),
        ] {
            let said = Template::parse(template).unwrap_err();
            assert!(said.contains(wanted), "{template}: {said}");
        }
    }
}
