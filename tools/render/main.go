// Command render writes the contract in its other forms, for servers to hand out: as JSON, and as OpenAPI 3.1.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: render CONTRACT DIRECTORY")
		os.Exit(2)
	}
	if err := render(os.Args[1], os.Args[2]); err != nil {
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
