package main

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// order numbers the properties of every schema with x-order. oapi-codegen sorts the fields of a Go struct by it, and so the JSON that the
// server writes. Without x-order it sorts by name.
func order(doc *yaml.Node) {
	for _, schema := range entries(value(value(doc.Content[0], "components"), "schemas")) {
		orderProperties(schema)
	}
}

func orderProperties(schema *yaml.Node) {
	for key, child := range entries(schema) {
		switch key {
		case "properties":
			position := 0
			for _, property := range entries(child) {
				position++
				orderProperties(property)
				number := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(position)}
				property.Content = append(property.Content, scalar("x-order"), number)
			}
		case "items", "not", "additionalProperties":
			orderProperties(child)
		case "allOf", "anyOf", "oneOf":
			for _, schema := range child.Content {
				orderProperties(schema)
			}
		}
	}
}
