package api

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
	"time"
)

// schema is a JSON Schema (draft 2020-12), as OpenAPI 3.1 has it.
type schema map[string]any

// schemas makes schemas of Go types as encoding/json writes them. Structs that have a
// name come once, and are referred to.
type schemas struct{ named map[string]any }

var (
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	timeType      = reflect.TypeFor[time.Time]()
)

// of returns the schema of a type.
func (d *schemas) of(t reflect.Type) schema {
	switch {
	case t == timeType:
		return schema{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return schema{"anyOf": []any{d.of(t.Elem()), schema{"type": "null"}}}
	case t.Implements(textMarshaler):
		return schema{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return schema{"type": "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return schema{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return schema{"type": "integer", "minimum": 0}
	case reflect.Slice, reflect.Array:
		return schema{"type": "array", "items": d.of(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": d.of(t.Elem())}
	case reflect.Struct:
		return d.object(t)
	}
	return schema{} // anything
}

// object notes the schema of a struct under its name, and returns a reference to it.
func (d *schemas) object(t reflect.Type) schema {
	if t.Name() == "" {
		return d.fields(t)
	}
	name := strings.TrimSuffix(t.Name(), "Row")
	name = strings.ToUpper(name[:1]) + name[1:]
	if _, known := d.named[name]; !known {
		d.named[name] = nil // it may have itself in it
		d.named[name] = d.fields(t)
	}
	return schema{"$ref": "#/components/schemas/" + name}
}

func (d *schemas) fields(t reflect.Type) schema {
	properties, required := schema{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "-" {
			continue // what is embedded has its fields among the visible ones
		}
		if name == "" {
			name = f.Name
		}
		properties[name] = d.field(f)
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	is := schema{"type": "object", "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		is["required"] = required
	}
	return is
}

// field is the schema of a field, with what its tags say: `doc`, and `enum` with commas.
func (d *schemas) field(f reflect.StructField) schema {
	is := d.of(f.Type)
	if doc := f.Tag.Get("doc"); doc != "" {
		is["description"] = doc
	}
	if words := f.Tag.Get("enum"); words != "" {
		is["enum"] = strings.Split(words, ",")
	}
	return is
}
