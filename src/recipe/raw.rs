//! A recipe as it is written: TOML values, each with its place, before anything is known about their meaning.
//!
//! Every file of a recipe is read into the same form, so that included files can be put under the file that includes
//! them while each value still knows the bytes it came from.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Position};

/// A value and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Position,
    pub(crate) value: Value,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    /// `None` is a number that no integer type of ours holds.
    Number(Option<i128>),
    Float,
    Flag(bool),
    /// A date, a time or both, as TOML writes them.
    Moment(String),
    List(Vec<Node>),
    Table(BTreeMap<String, Field>),
}

/// A key of a table with its value.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) key: Position,
    pub(crate) node: Node,
}

/// Reads the text of one file. What can be understood of a text with faults is understood, so that the faults in its
/// meaning can be told together with those in its form.
pub(crate) fn read(file: usize, text: &str) -> (Node, Vec<Fault>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let place = |span: Range<usize>| Position { file, span: span.start.min(text.len())..span.end.min(text.len()) };
    let faults = errors.iter().map(|error| {
        let fault = Fault::new(&place(error.span().unwrap_or_default()), error.message());
        match error.message() {
            message if message.starts_with("unexpected leading zero") => {
                fault.help("a mode is a text in octal digits, as for chmod: `\"0755\"`")
            }
            message if message.starts_with("string values must be quoted") => fault.help("put it in quotes"),
            _ => fault,
        }
    });
    let mut faults: Vec<Fault> = faults.collect();
    faults.sort_by_key(|fault| fault.place.span.start);
    (Node { place: place(0..0), value: fields(file, table.get_ref()) }, faults)
}

fn fields(file: usize, table: &DeTable<'_>) -> Value {
    let field = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| Field {
        key: Position { file, span: key.span() },
        node: node(file, value),
    };
    Value::Table(table.iter().map(|(key, value)| (key.get_ref().to_string(), field((key, value)))).collect())
}

fn node(file: usize, value: &Spanned<DeValue<'_>>) -> Node {
    let read = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Number(i128::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(_) => Value::Float,
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(moment) => Value::Moment(moment.to_string()),
        DeValue::Array(list) => Value::List(list.iter().map(|value| node(file, value)).collect()),
        DeValue::Table(table) => fields(file, table),
    };
    Node { place: Position { file, span: value.span() }, value: read }
}

impl Node {
    /// The type, as messages call it.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Text(_) => "a text",
            Value::Number(_) => "a number",
            Value::Float => "a number with a decimal point",
            Value::Flag(_) => "true or false",
            Value::Moment(_) => "a date or time",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The fields of a table; none for anything else.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &Field)> {
        let fields = match &self.value {
            Value::Table(fields) => Some(fields),
            Value::Text(_) | Value::Number(_) | Value::Float | Value::Flag(_) | Value::Moment(_) | Value::List(_) => {
                None
            }
        };
        fields.into_iter().flatten().map(|(name, field)| (name.as_str(), field))
    }

    /// The field of a table.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        match &self.value {
            Value::Table(fields) => fields.get(name),
            Value::Text(_) | Value::Number(_) | Value::Float | Value::Flag(_) | Value::Moment(_) | Value::List(_) => {
                None
            }
        }
    }

    fn is_list_of_tables(&self) -> bool {
        match &self.value {
            Value::List(list) => !list.is_empty() && list.iter().all(|node| matches!(node.value, Value::Table(_))),
            Value::Text(_) | Value::Number(_) | Value::Float | Value::Flag(_) | Value::Moment(_) | Value::Table(_) => {
                false
            }
        }
    }
}

/// Puts one file over another: tables key by key, lists of tables one behind the other, anything else replaced.
pub(crate) fn merge(under: &mut Node, over: Node) {
    let lists = under.is_list_of_tables() && over.is_list_of_tables();
    match (&mut under.value, over.value) {
        (Value::Table(under_fields), Value::Table(over_fields)) => {
            under.place = over.place;
            for (name, field) in over_fields {
                match under_fields.get_mut(&name) {
                    Some(known) => {
                        known.key = field.key;
                        merge(&mut known.node, field.node);
                    }
                    None => {
                        under_fields.insert(name, field);
                    }
                }
            }
        }
        (Value::List(under_list), Value::List(over_list)) if lists => {
            under.place = over.place;
            under_list.extend(over_list);
        }
        (_, value) => *under = Node { place: over.place, value },
    }
}
