// Package overlay changes files for one build with `go build -overlay`, without changing the checkout.
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

// New returns an overlay without changes.
func New(root string) (*Overlay, error) {
	root, err := filepath.Abs(root)
	return &Overlay{root: root, files: map[string]string{}}, err
}

// Add adds or replaces a file.
func (o *Overlay) Add(name, text string) { o.files[filepath.Join(o.root, name)] = text }

// Replace replaces a text, which must occur exactly once.
func (o *Overlay) Replace(name, old, text string) error {
	content, err := o.read(filepath.Join(o.root, name))
	if err != nil {
		return err
	}
	if n := strings.Count(content, old); n != 1 {
		return fmt.Errorf("%s has %q %d times, want once", name, old, n)
	}
	o.Add(name, strings.Replace(content, old, text, 1))
	return nil
}

// InsertAtStart inserts a statement at the start of a function. It finds the function by its first line, in any file of a folder.
func (o *Overlay) InsertAtStart(folder, function, statement string) error {
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
	text, err := os.ReadFile(path) //nolint:gosec // a file of the checkout
	return string(text), err
}

// Write writes the changes into a directory and returns the file for -overlay.
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
