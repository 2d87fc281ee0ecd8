//! Cuts ports out of Services, slices and Endpoints; everything else stays as it is.

use std::borrow::Cow;
use std::collections::BTreeSet;

use proto_types::object::Fields;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Name<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
}

/// Numbers of all ports and of the kept ones.
#[derive(Debug, Default)]
struct Count {
    before: usize,
    after: usize,
}

/// The object with only the ports of these names; `None` if it had ports and none is left.
pub(super) fn filter(json: &[u8], names: &BTreeSet<String>) -> serde_json::Result<Option<Vec<u8>>> {
    let mut count = Count::default();
    let mut out = Vec::with_capacity(json.len());
    object(serde_json::from_slice(json)?, names, &mut count, &mut out)?;
    let is_bare = 0 < count.before && count.after == 0;
    Ok((!is_bare).then_some(out))
}

fn object(
    value: &RawValue,
    names: &BTreeSet<String>,
    count: &mut Count,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    if !value.get().starts_with('{') {
        out.extend_from_slice(value.get().as_bytes());
        return Ok(());
    }
    let Fields(fields) = serde_json::from_str(value.get())?;
    out.push(b'{');
    for (i, (name, value)) in fields.into_iter().enumerate() {
        if 0 < i {
            out.push(b',');
        }
        out.extend_from_slice(serde_json::to_string(&name)?.as_bytes());
        out.push(b':');
        match name.as_ref() {
            "spec" => object(value, names, count, out)?,
            "ports" => ports(value, names, count, out)?,
            "subsets" => subsets(value, names, count, out)?,
            _ => out.extend_from_slice(value.get().as_bytes()),
        }
    }
    out.push(b'}');
    Ok(())
}

fn ports(
    value: &RawValue,
    names: &BTreeSet<String>,
    count: &mut Count,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let Some(all) = serde_json::from_str::<Option<Vec<&RawValue>>>(value.get())? else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    let mut kept = Vec::with_capacity(all.len());
    for port in &all {
        let Name { name } = serde_json::from_str(port.get())?;
        if names.contains(name.as_deref().unwrap_or_default()) {
            kept.push(port.get());
        }
    }
    count.before += all.len();
    count.after += kept.len();
    out.push(b'[');
    out.extend_from_slice(kept.join(",").as_bytes());
    out.push(b']');
    Ok(())
}

/// A subset of whose ports none is left goes, with its addresses.
fn subsets(
    value: &RawValue,
    names: &BTreeSet<String>,
    count: &mut Count,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let Some(all) = serde_json::from_str::<Option<Vec<&RawValue>>>(value.get())? else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(all.len());
    for subset in all {
        let mut own = Count::default();
        let mut text = Vec::with_capacity(subset.get().len());
        object(subset, names, &mut own, &mut text)?;
        if own.before == 0 || 0 < own.after {
            kept.push(text);
        }
        count.before += own.before;
        count.after += own.after;
    }
    out.push(b'[');
    out.extend_from_slice(&kept.join(&b','));
    out.push(b']');
    Ok(())
}
