package config

import "encoding/json"

// schemaID is the dialect of JSON Schema that JSONSchema is written in.
const schemaID = "https://json-schema.org/draft/2020-12/schema"

// JSONSchema returns the file format as a JSON Schema (draft 2020-12), for editors that
// complete and check TOML by one. It accepts every file that Parse accepts. What only
// Parse can tell (an address that is well formed, a VLAN that no VNI maps) it lets pass.
func JSONSchema() []byte {
	s := fileTable.schema()
	s["$schema"], s["title"], s["description"] = schemaID, "vxgw", "Configuration of vxgw, a gateway between VLANs and VXLAN"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // maps, lists, words and numbers
	}
	return append(text, '\n')
}

// object is a part of a schema.
type object = map[string]any

// schema describes one table, without the array that it may be in.
func (t *table) schema() object {
	props, required := object{}, []string{}
	for i := range t.keys {
		k := &t.keys[i]
		props[k.name] = k.schema()
		if k.required {
			required = append(required, k.name)
		}
	}
	for _, kid := range t.kids {
		props[kid.name] = kid.whole()
		if !kid.array && kid.needs() {
			required = append(required, kid.name)
		}
	}
	s := object{"type": "object", "additionalProperties": false, "properties": props}
	if t.doc != "" {
		s["description"] = t.doc
	}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// whole describes all tables of that name.
func (t *table) whole() object {
	if t.array {
		return object{"type": "array", "items": t.schema()}
	}
	return t.schema()
}

// needs reports whether the table may not be absent.
func (t *table) needs() bool {
	for i := range t.keys {
		if t.keys[i].required {
			return true
		}
	}
	return false
}

func (k *key) schema() object {
	s := k.kind.schema()
	s["description"] = k.doc
	if k.def != nil {
		s["default"] = k.def
	}
	return s
}

// schema describes what a kind accepts.
func (k kind) schema() object {
	one := object{}
	for word, v := range k.json {
		one[word] = v
	}
	switch {
	case k.single:
		return object{"anyOf": []object{one, {"type": "array", "items": one}}}
	case k.list:
		return object{"type": "array", "items": one, "uniqueItems": true}
	}
	return one
}
