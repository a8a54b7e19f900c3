//! The JSON schema of recipes, made from the definition of their keys.

use serde_json::{Map, Value, json};

use super::keys::{Key, PATH, PATH_KEYS, PATH_TYPES, RECIPE, Shape, Table};

/// The schema (JSON Schema 2020-12) that editors complete and check recipes with.
///
/// It knows names and types. Whether texts have the right form, and whether keys agree, only the parser knows.
pub fn schema() -> Value {
    let mut schema = table(&RECIPE);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("sazare recipe");
    schema
}

fn table(definition: &'static Table) -> Value {
    let properties: Map<String, Value> =
        definition.keys.iter().map(|key| (key.name.to_string(), property(key))).collect();
    let required: Vec<&str> = definition.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "title": definition.header,
        "description": definition.description,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if std::ptr::eq(definition, &PATH) {
        schema["allOf"] = path_types();
    }
    schema
}

fn property(key: &'static Key) -> Value {
    let text = || json!({"type": "string"});
    let list = |items: Value| json!({"type": "array", "items": items});
    let number = |max: u64| json!({"type": "integer", "minimum": 0, "maximum": max});
    let mut schema = match key.shape {
        // TOML's own dates reach a JSON schema as texts.
        Shape::Text | Shape::Moment => text(),
        Shape::Choice(words) => json!({"type": "string", "enum": words}),
        Shape::Number(max) => number(max),
        Shape::NumberOrText(max) => json!({"anyOf": [number(max), text()]}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Texts => list(text()),
        Shape::Choices(words) => list(json!({"type": "string", "enum": words})),
        Shape::NumbersOrTexts => list(json!({"anyOf": [number(u64::MAX), text()]})),
        Shape::TextMap => json!({"type": "object", "additionalProperties": text()}),
        Shape::Table(inner) => table(inner),
        Shape::Tables(inner) => list(table(inner)),
    };
    schema["title"] = json!(key.name);
    schema["description"] = json!(key.description);
    schema
}

/// Each type of path has its own keys.
fn path_types() -> Value {
    let rules = PATH_TYPES.iter().map(|path_type| {
        let others = PATH.keys.iter().map(|key| key.name).filter(|name| {
            !PATH_KEYS.contains(name) && !path_type.required.contains(name) && !path_type.allowed.contains(name)
        });
        let forbidden: Map<String, Value> = others.map(|name| (name.to_string(), json!(false))).collect();
        let mut then = json!({"description": path_type.description, "properties": forbidden});
        then["required"] = json!(path_type.required);
        json!({"if": {"properties": {"type": {"const": path_type.name}}, "required": ["type"]}, "then": then})
    });
    Value::Array(rules.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::keys;

    /// Every object of the schema that stands for a table, by its title.
    fn objects<'a>(schema: &'a Value, into: &mut Vec<&'a Map<String, Value>>) {
        if schema["additionalProperties"] == json!(false)
            && let Some(object) = schema.as_object()
        {
            into.push(object);
        }
        for property in schema["properties"].as_object().into_iter().flatten().map(|(_, property)| property) {
            objects(property, into);
            objects(&property["items"], into);
        }
    }

    #[test]
    fn the_schema_has_exactly_the_keys_of_the_definition() {
        let schema = schema();
        let mut found = Vec::new();
        objects(&schema, &mut found);
        assert_eq!(found.len(), keys::tables().len());
        let of_schema: usize = found.iter().map(|object| object["properties"].as_object().unwrap().len()).sum();
        let of_tables: usize = keys::tables().iter().map(|table| table.keys.len()).sum();
        assert_eq!(of_schema, of_tables);
        assert_eq!(schema["required"], json!(["platforms"]));
        assert_eq!(schema["properties"]["source"]["items"]["properties"]["modes"]["enum"], json!(["keep", "normal"]));
        let link = &schema["properties"]["path"]["items"]["allOf"][3];
        assert_eq!(link["if"]["properties"]["type"]["const"], "symlink");
        assert_eq!(link["then"]["required"], json!(["target"]));
        assert_eq!(link["then"]["properties"]["mode"], json!(false));
    }
}
