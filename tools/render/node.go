package main

import (
	"iter"
	"slices"

	"go.yaml.in/yaml/v3"
)

// entries iterates over a copy of a mapping, in order. The mapping may be changed meanwhile.
func entries(n *yaml.Node) iter.Seq2[string, *yaml.Node] {
	var content []*yaml.Node
	if n.Kind == yaml.MappingNode {
		content = slices.Clone(n.Content)
	}
	return func(yield func(string, *yaml.Node) bool) {
		for i := 0; i < len(content); i += 2 {
			if !yield(content[i].Value, content[i+1]) {
				return
			}
		}
	}
}

func value(n *yaml.Node, key string) *yaml.Node {
	for k, v := range entries(n) {
		if k == key {
			return v
		}
	}
	return nil
}

func remove(n *yaml.Node, key string) {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

func each(nodes []*yaml.Node, step func(*yaml.Node) error) error {
	for _, n := range nodes {
		if err := step(n); err != nil {
			return err
		}
	}
	return nil
}
