// Command render writes the contract in other forms. With a directory it writes the documents that servers publish, as JSON and as OpenAPI
// 3.1. Without one it prints the input of our Go code generator: the contract with the order of properties.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

func main() {
	var err error
	switch len(os.Args) {
	case 2:
		err = printOrdered(os.Args[1])
	case 3:
		err = render(os.Args[1], os.Args[2])
	default:
		fmt.Fprintln(os.Stderr, "usage: render CONTRACT [DIRECTORY]")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func render(contract, directory string) error {
	source, err := os.ReadFile(contract) //nolint:gosec // the file that the caller named
	if err != nil {
		return err
	}
	for name, change := range map[string]func(*yaml.Node) error{
		"openapi.json":     func(*yaml.Node) error { return nil },
		"openapi-3.1.json": upgrade,
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal(source, &doc); err != nil {
			return err
		}
		if err := change(&doc); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		text, err := toJSON(&doc)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(directory, name), text, 0o644); err != nil { //nolint:gosec // committed
			return err
		}
	}
	return nil
}

func printOrdered(contract string) error {
	source, err := os.ReadFile(contract) //nolint:gosec // the file that the caller named
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(source, &doc); err != nil {
		return err
	}
	order(&doc)
	text, err := toJSON(&doc)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}
