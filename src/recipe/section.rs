//! Reading a table by its definition: what has the wrong name or type is a fault, what is left has a type.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use super::choice::Choice;
use super::fault::{Fault, Position, SourceFile};
use super::keys::{Key, Shape, Table};
use super::nearest::nearest;
use super::raw::{Field, Node, Value};
use super::template::RuleOrigin;
use crate::path::display_bytes;

/// Where all faults of a recipe meet.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) files: &'a [SourceFile],
    faults: RefCell<Vec<Fault>>,
    /// Which keys were asked for, to check that every key of the definition is read.
    #[cfg(test)]
    pub(crate) asked: RefCell<std::collections::BTreeSet<(&'static str, &'static str)>>,
}

/// A value together with where it is.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) place: Position,
}

/// One table of the recipe.
#[derive(Clone, Debug)]
pub(crate) struct Section<'a> {
    pub(crate) table: &'static Table,
    pub(crate) node: &'a Node,
    pub(crate) reader: &'a Reader<'a>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(files: &'a [SourceFile]) -> Reader<'a> {
        Reader {
            files,
            faults: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// Takes a fault down.
    pub(crate) fn fault(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// Everything that was taken down.
    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// The line of a place, as things made from it remember it.
    pub(crate) fn origin(&self, place: &Position) -> RuleOrigin {
        match self.files.get(place.file) {
            Some(file) => RuleOrigin::line(Arc::clone(&file.name), file.line(place.span.start)),
            None => RuleOrigin::command_line(),
        }
    }

    /// The value, or a fault at its place.
    pub(crate) fn good<T, E: Display>(&self, place: &Position, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.fault(Fault::new(place, error.to_string()))).ok()
    }

    /// Checks names and types of a table and of all tables in it.
    pub(crate) fn check(&self, table: &'static Table, node: &Node) {
        for (name, field) in node.fields() {
            match table.key(name) {
                Some(key) => self.check_value(key, &field.node),
                None => self.unknown_key(table, name, field),
            }
        }
    }

    /// Checks that nothing that is required is missing. `whole` is where a table that nobody wrote would be.
    pub(crate) fn check_required(&self, table: &'static Table, node: &Node) {
        for key in table.keys {
            let field = node.field(key.name);
            if field.is_none() && key.required {
                let fault = Fault::new(&node.place, format!("{} needs a key `{}`", table.header, key.name));
                self.fault(fault.label(format!("`{}` is missing", key.name)).help(key.description));
            }
            let Some(field) = field else { continue };
            match (&key.shape, &field.node.value) {
                (Shape::Table(inner), Value::Table(_)) => self.check_required(inner, &field.node),
                (Shape::Tables(inner), Value::List(list)) => {
                    for node in list.iter().filter(|node| matches!(node.value, Value::Table(_))) {
                        self.check_required(inner, node);
                    }
                }
                _ => {}
            }
        }
    }

    fn unknown_key(&self, table: &'static Table, name: &str, field: &Field) {
        let shown = display_bytes(name.as_bytes());
        let fault = Fault::new(&field.key, format!("unknown key `{shown}`"));
        let names = || table.keys.iter().map(|key| key.name);
        let fault = fault.label(format!("not a key of {}", table.header));
        self.fault(match nearest(name, names()) {
            Some(meant) => fault.help(format!("did you mean `{meant}`?")),
            None => fault.help(format!("its keys are {}", names().collect::<Vec<_>>().join(", "))),
        });
    }

    fn check_value(&self, key: &'static Key, node: &Node) {
        self.check_nul(key, node);
        match (&key.shape, &node.value) {
            (Shape::Text | Shape::Moment | Shape::NumberOrText(_), Value::Text(_)) => {}
            (Shape::Moment, Value::Moment(_)) => {}
            (Shape::Flag, Value::Flag(_)) => {}
            (Shape::Choice(words), Value::Text(text)) => self.check_choice(key, &node.place, words, text),
            (Shape::Number(max) | Shape::NumberOrText(max), Value::Number(number)) => {
                self.check_number(key, &node.place, *max, *number);
            }
            (Shape::Texts | Shape::Choices(_) | Shape::NumbersOrTexts, Value::List(list)) => {
                for item in list {
                    match (&key.shape, &item.value) {
                        (Shape::Choices(words), Value::Text(text)) => self.check_choice(key, &item.place, words, text),
                        (Shape::NumbersOrTexts, Value::Number(number)) => {
                            self.check_number(key, &item.place, u64::MAX, *number);
                        }
                        (_, Value::Text(_)) => {}
                        _ => self.wrong_type(key, item, "an item of", "a text"),
                    }
                }
            }
            (Shape::TextMap, Value::Table(_)) => {
                for (name, field) in node.fields() {
                    if !matches!(field.node.value, Value::Text(_)) {
                        let name = display_bytes(name.as_bytes());
                        let fault = Fault::new(&field.node.place, format!("`{name}` in `{}` must be a text", key.name));
                        let fault = fault.label(format!("this is {}", field.node.type_name()));
                        self.fault(fault.help("put it in quotes"));
                    }
                }
            }
            (Shape::Table(table), Value::Table(_)) => self.check(table, node),
            (Shape::Tables(table), Value::List(list)) => {
                for item in list {
                    match &item.value {
                        Value::Table(_) => self.check(table, item),
                        _ => self.wrong_type(key, item, "an item of", "a table"),
                    }
                }
            }
            _ => self.wrong_type(key, node, "", expected(&key.shape)),
        }
    }

    /// No system call takes a text with NUL in it; only the text of a file may have one.
    fn check_nul(&self, key: &'static Key, node: &Node) {
        match &node.value {
            Value::Text(text) if text.contains('\0') && key.name != "text" => {
                self.fault(Fault::new(&node.place, format!("`{}` must not contain NUL", key.name)));
            }
            Value::List(list) => list.iter().for_each(|item| self.check_nul(key, item)),
            Value::Table(_) if matches!(key.shape, Shape::TextMap) => {
                for (name, field) in node.fields() {
                    if name.contains('\0') {
                        self.fault(Fault::new(&field.key, format!("a key of `{}` must not contain NUL", key.name)));
                    }
                    self.check_nul(key, &field.node);
                }
            }
            _ => {}
        }
    }

    fn wrong_type(&self, key: &'static Key, node: &Node, part: &str, expected: &str) {
        let space = if part.is_empty() { "" } else { " " };
        let fault = Fault::new(&node.place, format!("{part}{space}`{}` must be {expected}", key.name));
        let fault = fault.label(format!("this is {}", node.type_name()));
        self.fault(match (&key.shape, &node.value) {
            (Shape::Text, Value::Number(_)) if key.name == "mode" => {
                fault.help("a mode is a text in octal digits, as for chmod: `\"0755\"`")
            }
            (Shape::Texts | Shape::Choices(_) | Shape::NumbersOrTexts, Value::Text(text))
                if key.name == "cmd" || key.name == "entrypoint" =>
            {
                fault.help(format!("put each word into a list, or a shell in front: [\"/bin/sh\", \"-c\", {text:?}]"))
            }
            (Shape::Texts | Shape::Choices(_) | Shape::NumbersOrTexts, Value::Text(text)) => {
                fault.help(format!("put it into a list: [{text:?}]"))
            }
            (Shape::Tables(table), Value::Table(_)) => {
                fault.help(format!("write it with double brackets: {}", table.header))
            }
            (Shape::Table(table), Value::List(_)) => fault.help(format!("write it once: {}", table.header)),
            (Shape::Text | Shape::Choice(_), Value::Number(_) | Value::Float | Value::Flag(_) | Value::Moment(_)) => {
                fault.help("put it in quotes")
            }
            _ => fault,
        });
    }

    fn check_choice(&self, key: &'static Key, place: &Position, words: &'static [&'static str], text: &str) {
        if !words.contains(&text) {
            let fault = Fault::new(place, format!("`{}` is one of {}", key.name, words.join(", ")));
            self.fault(match nearest(text, words.iter().copied()) {
                Some(meant) => fault.help(format!("did you mean \"{meant}\"?")),
                None => fault,
            });
        }
    }

    fn check_number(&self, key: &'static Key, place: &Position, max: u64, number: Option<i128>) {
        if !number.is_some_and(|number| (0..=i128::from(max)).contains(&number)) {
            self.fault(Fault::new(place, format!("`{}` is a number from 0 to {max}", key.name)));
        }
    }
}

fn expected(shape: &Shape) -> &'static str {
    match shape {
        Shape::Text | Shape::Choice(_) => "a text",
        Shape::Number(_) => "a number",
        Shape::NumberOrText(_) => "a number or a text",
        Shape::Flag => "true or false",
        Shape::Moment => "a date with time such as 2026-01-01T00:00:00Z",
        Shape::Texts | Shape::Choices(_) => "a list of texts",
        Shape::NumbersOrTexts => "a list of numbers and texts",
        Shape::TextMap => "a table of texts",
        Shape::Table(_) => "a table",
        Shape::Tables(_) => "a list of tables",
    }
}

impl<'a> Section<'a> {
    fn field(&self, name: &'static str) -> Option<&'a Field> {
        debug_assert!(self.table.key(name).is_some(), "{} has no key {name}", self.table.header);
        #[cfg(test)]
        self.reader.asked.borrow_mut().insert((self.table.header, name));
        self.node.field(name)
    }

    /// Where the key is, if it is there, whatever its value.
    pub(crate) fn key(&self, name: &'static str) -> Option<&'a Position> {
        self.field(name).map(|field| &field.key)
    }

    /// Where the table is.
    pub(crate) fn place(&self) -> &'a Position {
        &self.node.place
    }

    /// The line of the table.
    pub(crate) fn origin(&self) -> RuleOrigin {
        self.reader.origin(&self.node.place)
    }

    /// Takes a fault down.
    pub(crate) fn fault(&self, fault: Fault) {
        self.reader.fault(fault);
    }

    /// The text of a key; a date is a text too.
    pub(crate) fn text(&self, name: &'static str) -> Option<Placed<&'a str>> {
        let node = &self.field(name)?.node;
        match &node.value {
            Value::Text(text) => Some(Placed { value: text, place: node.place.clone() }),
            Value::Moment(text) if matches!(self.table.key(name)?.shape, Shape::Moment) => {
                Some(Placed { value: text, place: node.place.clone() })
            }
            _ => None,
        }
    }

    /// The text of a key, read as a `T`; what is none is a fault.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&self, name: &'static str) -> Option<T> {
        let text = self.text(name)?;
        self.reader.good(&text.place, text.value.parse())
    }

    /// What the word of a key means.
    pub(crate) fn choice<T: Choice>(&self, name: &'static str) -> Option<T> {
        T::from_word(self.text(name)?.value)
    }

    /// What the words of a key mean.
    pub(crate) fn choices<T: Choice>(&self, name: &'static str) -> Option<Vec<T>> {
        Some(self.texts(name)?.iter().filter_map(|text| T::from_word(&text.value)).collect())
    }

    /// The number of a key.
    pub(crate) fn number(&self, name: &'static str) -> Option<Placed<u64>> {
        let node = &self.field(name)?.node;
        match (&node.value, &self.table.key(name)?.shape) {
            (Value::Number(Some(number)), Shape::Number(max) | Shape::NumberOrText(max)) => {
                let value = u64::try_from(*number).ok().filter(|number| number <= max)?;
                Some(Placed { value, place: node.place.clone() })
            }
            _ => None,
        }
    }

    /// The value of a key that is true or false.
    pub(crate) fn flag(&self, name: &'static str) -> Option<bool> {
        match self.field(name)?.node.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// The texts of a list; numbers are texts where they are allowed.
    pub(crate) fn texts(&self, name: &'static str) -> Option<Vec<Placed<String>>> {
        let Value::List(list) = &self.field(name)?.node.value else { return None };
        let numbers = matches!(self.table.key(name)?.shape, Shape::NumbersOrTexts);
        let text = |node: &Node| match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(Some(number)) if numbers => Some(number.to_string()),
            _ => None,
        };
        let placed = |node: &Node| text(node).map(|value| Placed { value, place: node.place.clone() });
        Some(list.iter().filter_map(placed).collect())
    }

    /// The texts of a list, each read as a `T`; one that is there twice is a fault.
    pub(crate) fn parsed_list<T: FromStr<Err: Display> + Ord + Clone>(&self, name: &'static str) -> Option<Vec<T>> {
        let (mut values, mut seen): (Vec<T>, BTreeMap<T, Position>) = Default::default();
        for text in self.texts(name)? {
            let Some(value) = self.reader.good(&text.place, text.value.parse::<T>()) else { continue };
            match seen.entry(value) {
                Entry::Occupied(first) => self.fault(
                    Fault::new(&text.place, format!("`{name}` has the same value twice: {:?}", text.value))
                        .label("again here")
                        .related(first.get(), "first here"),
                ),
                Entry::Vacant(first) => {
                    values.push(first.key().clone());
                    first.insert(text.place);
                }
            }
        }
        Some(values)
    }

    /// The texts of a table with free keys: place of the key, the key, its text.
    pub(crate) fn map(&self, name: &'static str) -> Vec<(&'a Position, &'a str, Placed<&'a str>)> {
        let fields = self.field(name).map(|field| field.node.fields());
        fields
            .into_iter()
            .flatten()
            .filter_map(|(key, field)| match &field.node.value {
                Value::Text(text) => {
                    Some((&field.key, key, Placed { value: text.as_str(), place: field.node.place.clone() }))
                }
                _ => None,
            })
            .collect()
    }

    /// The table of a key.
    pub(crate) fn section(&self, name: &'static str) -> Option<Section<'a>> {
        let field = self.field(name)?;
        match (&self.table.key(name)?.shape, &field.node.value) {
            (Shape::Table(table), Value::Table(_)) => Some(Section { table, node: &field.node, reader: self.reader }),
            _ => None,
        }
    }

    /// The tables of a list.
    pub(crate) fn sections(&self, name: &'static str) -> Vec<Section<'a>> {
        let Some(field) = self.field(name) else { return Vec::new() };
        let Some(Shape::Tables(table)) = self.table.key(name).map(|key| &key.shape) else { return Vec::new() };
        let Value::List(list) = &field.node.value else { return Vec::new() };
        let tables = list.iter().filter(|node| matches!(node.value, Value::Table(_)));
        tables.map(|node| Section { table, node, reader: self.reader }).collect()
    }
}
