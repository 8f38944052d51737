// Package overlay changes files of a checkout for one build, and leaves the checkout alone: `go build -overlay`.
package overlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Overlay is a checkout with changes.
type Overlay struct {
	root  string
	files map[string]string // absolute path in the checkout -> text
}

// New makes an overlay without changes.
func New(root string) (*Overlay, error) {
	root, err := filepath.Abs(root)
	return &Overlay{root: root, files: map[string]string{}}, err
}

// Add puts a file there, or another in the place of one.
func (o *Overlay) Add(name, text string) { o.files[filepath.Join(o.root, name)] = text }

// Replace changes a text that must be there once.
func (o *Overlay) Replace(name, old, text string) error {
	content, err := o.read(filepath.Join(o.root, name))
	if err != nil {
		return err
	}
	if n := strings.Count(content, old); n != 1 {
		return fmt.Errorf("%s has %q %d times, not once", name, old, n)
	}
	o.Add(name, strings.Replace(content, old, text, 1))
	return nil
}

// Begin puts a statement at the beginning of a function, which is found by its first line in any file of a folder.
func (o *Overlay) Begin(folder, function, statement string) error {
	names, err := filepath.Glob(filepath.Join(o.root, folder, "*.go"))
	if err != nil {
		return err
	}
	for _, name := range names {
		content, err := o.read(name)
		if err != nil {
			return err
		}
		if before, after, found := strings.Cut(content, "\n"+function+"\n"); found {
			o.files[name] = before + "\n" + function + "\n\t" + statement + "\n" + after
			return nil
		}
	}
	return fmt.Errorf("no file of %s has the function %q", folder, function)
}

func (o *Overlay) read(path string) (string, error) {
	if text, ok := o.files[path]; ok {
		return text, nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // of the checkout
	return string(text), err
}

// Write puts the changes into a directory and returns the file that -overlay takes.
func (o *Overlay) Write(dir string) (string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	replace := map[string]string{}
	for path, text := range o.files {
		file := filepath.Join(dir, strconv.Itoa(len(replace))+".go")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[path] = file
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, list, 0o600)
}
