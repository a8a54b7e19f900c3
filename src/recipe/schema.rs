//! The JSON schema of recipes, made from the definition of their keys.

use serde_json::{Map, Value, json};

use crate::platform::Platform;

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
    // What is merged key by key may have its required keys in a recipe that is included.
    let whole = definition.header.starts_with("[[");
    let required = definition.keys.iter().filter(|key| key.required && whole);
    let required: Vec<&str> = required.map(|key| key.name).collect();
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
        // Those that are verified are offered; any other of OCI's is right too.
        Shape::Texts if key.name == "platforms" => list(json!({"anyOf": [{"enum": Platform::verified()}, text()]})),
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
        json!({"if": {"properties": {"type": {"const": path_type.kind.word()}}, "required": ["type"]}, "then": then})
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
        assert_eq!(schema["required"], json!([]));
        assert_eq!(schema["properties"]["user"]["items"]["required"], json!(["name", "uid"]));
        assert_eq!(schema["properties"]["source"]["items"]["properties"]["modes"]["enum"], json!(["keep", "normal"]));
        let offered = schema["properties"]["platforms"]["items"]["anyOf"][0]["enum"].as_array().unwrap();
        assert!(offered.contains(&json!("linux/s390x")) && offered.len() == Platform::verified().len());
        let link = &schema["properties"]["path"]["items"]["allOf"][3];
        assert_eq!(link["if"]["properties"]["type"]["const"], "symlink");
        assert_eq!(link["then"]["required"], json!(["target"]));
        assert_eq!(link["then"]["properties"]["mode"], json!(false));
    }

    /// The tables of `docs/recipe.md`, as the definition has them.
    fn reference(table: &Table) -> String {
        let rows = table.keys.iter().map(|key| {
            let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            let value = match key.shape {
                Shape::Text => "text".into(),
                Shape::Choice(_) if table.header == "[[path]]" => "see below".into(),
                Shape::Choice(choice) => words(choice),
                Shape::Number(_) => "number".into(),
                Shape::NumberOrText(_) => "number or text".into(),
                Shape::Flag => "true or false".into(),
                Shape::Moment => "date with time".into(),
                Shape::Texts => "list of texts".into(),
                Shape::Choices(choice) => format!("list of {}", words(choice)),
                Shape::NumbersOrTexts => "list of numbers and texts".into(),
                Shape::TextMap => "table of texts".into(),
                Shape::Table(inner) | Shape::Tables(inner) => format!("`{}`", inner.header),
            };
            let required = if key.required { ", required" } else { "" };
            format!("| `{}` | {value}{required} | {} |\n", key.name, key.description)
        });
        format!("{}\n\n| key | value | what it does |\n|---|---|---|\n{}", table.description, rows.collect::<String>())
    }

    fn reference_of_path_types() -> String {
        let rows = PATH_TYPES.iter().map(|path_type| {
            let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            let (needs, may) = (words(path_type.required), words(path_type.allowed));
            format!("| `{}` | {} | {needs} | {may} |\n", path_type.kind.word(), path_type.description)
        });
        format!("| type | what it does | needs | may have |\n|---|---|---|---|\n{}", rows.collect::<String>())
    }

    const DOCS: &str = include_str!("../../docs/recipe.md");

    #[test]
    fn the_reference_has_the_tables_of_the_definition() {
        for part in keys::tables().into_iter().map(reference).chain([reference_of_path_types()]) {
            assert!(DOCS.contains(&part), "docs/recipe.md should have this part:\n\n{part}");
        }
    }

    #[test]
    fn every_example_of_the_reference_is_a_recipe() {
        let examples: Vec<&str> = DOCS.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(examples.len() > 5);
        for example in examples {
            let mut text = example.to_string();
            // Parts of a recipe get what every recipe needs.
            if !text.contains("[[source]]") && !text.contains("[[path]]") {
                text += "\n[[source]]\nfrom = \"root\"\n";
            }
            if !text.contains("platforms ") {
                text.insert_str(0, "platforms = [\"linux/amd64\"]\n");
            }
            let loader = |_: &std::path::Path| Ok(Vec::new());
            if let Err(faults) = crate::recipe::parse(text.as_bytes(), std::path::Path::new("example.toml"), &loader) {
                panic!("{faults}\nin\n{text}");
            }
        }
    }

    #[test]
    fn every_recipe_of_the_repository_is_one() {
        let images = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("images");
        for recipe in
            ["hello", "scratch-binary", "kimigayo/minimal.toml", "kimigayo/standard.toml", "kimigayo/extended.toml"]
        {
            if let Err(error) = crate::recipe::read(&images.join(recipe)) {
                panic!("{error}");
            }
        }
    }
}
