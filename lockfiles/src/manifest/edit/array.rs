//! Arrays of TOML with their white space and comments.
//!
//! A comment behind an item is kept by `toml_edit` with the item that follows, before the line break,
//! or with the end of the array: it has to go along with the item it speaks of.

use toml_edit::{Array, RawString, Value};

/// Returns where a name goes: in its place where the list is sorted, and else at the end.
pub(super) fn place<T: Ord>(array: &Array, name: impl Fn(&str) -> T, new: &T) -> usize {
    let names: Vec<Option<T>> = array.iter().map(|item| item.as_str().map(&name)).collect();
    let is_sorted = names.iter().all(Option::is_some) && names.is_sorted();
    match is_sorted {
        true => names.partition_point(|known| known.as_ref() < Some(new)),
        false => names.len(),
    }
}

/// Inserts a string before the item at `place`.
pub(super) fn insert(array: &mut Array, place: usize, text: &str) {
    let mut value = Value::from(text);
    if is_tall(array) {
        end_with_comma(array);
        let (comment, rest) = before(array, place);
        value.decor_mut().set_prefix(comment + &indent(array));
        set_before(array, place, rest);
    } else {
        value
            .decor_mut()
            .set_prefix(if place == 0 { "" } else { " " });
        if place == 0 && !array.is_empty() {
            set_before(array, 0, " ".to_owned());
        }
    }
    array.insert_formatted(place, value);
}

/// Removes the item at `place`, with the comment behind it. Comments on lines of their own stay.
pub(super) fn remove(array: &mut Array, place: usize) {
    if !is_tall(array) {
        array.remove(place);
        if place == 0 && !array.is_empty() {
            set_before(array, 0, String::new());
        }
        return;
    }
    end_with_comma(array);
    let (comment, own) = before(array, place);
    let (_, next) = before(array, place + 1);
    // Without the indent of the item that goes.
    let lines = own.rfind('\n').map_or("", |end| &own[..end]).to_owned();
    array.remove(place);
    set_before(array, place, comment + &lines + &next);
}

fn is_tall(array: &Array) -> bool {
    let breaks = |text: &RawString| text.as_str().is_some_and(|text| text.contains('\n'));
    let decorated = |item: &Value| {
        let decor = item.decor();
        decor.prefix().is_some_and(breaks) || decor.suffix().is_some_and(breaks)
    };
    breaks(array.trailing()) || array.iter().any(decorated)
}

/// Makes what stands behind the last item stand behind a comma.
fn end_with_comma(array: &mut Array) {
    let Some(last) = array.len().checked_sub(1) else {
        return;
    };
    if array.trailing_comma() {
        return;
    }
    if let Some(item) = array.get_mut(last) {
        let suffix = item.decor().suffix().and_then(RawString::as_str);
        let suffix = suffix.unwrap_or_default().to_owned();
        item.decor_mut().set_suffix("");
        let trailing = array.trailing().as_str().unwrap_or_default();
        array.set_trailing(suffix + trailing);
    }
    array.set_trailing_comma(true);
}

/// Returns what stands before the item at `place`, or before the end: the comment behind the item
/// before, and the rest from the line break on.
fn before(array: &Array, place: usize) -> (String, String) {
    let text = match array.get(place) {
        Some(item) => item.decor().prefix(),
        None => Some(array.trailing()),
    };
    let text = text.and_then(RawString::as_str).unwrap_or_default();
    let (comment, rest) = text.split_at(text.find('\n').unwrap_or(text.len()));
    (comment.to_owned(), rest.to_owned())
}

fn set_before(array: &mut Array, place: usize, text: String) {
    match array.get_mut(place) {
        Some(item) => item.decor_mut().set_prefix(text),
        None => array.set_trailing(text),
    }
}

/// Returns a line break and the white space that items of the array begin with.
fn indent(array: &Array) -> String {
    let prefixes = array
        .iter()
        .filter_map(|item| item.decor().prefix()?.as_str());
    let mut indents = prefixes.filter_map(|prefix| Some(&prefix[prefix.rfind('\n')?..]));
    indents.next().unwrap_or("\n    ").to_owned()
}
