package deploy

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// image is the result of buildImage: a folder with the files of the image, and the settings of its last stage.
type image struct {
	Root    string
	User    string
	Workdir string
	Env     []string
	Health  []string
	Command []string
	Shell   bool // a command of the last stage needs a shell

	base   string
	owners map[string]string // owners of paths that were copied with --chown
}

// buildImage executes the steps of a Dockerfile without a container engine. A stage based on an image of a registry is a folder: its
// RUN steps run on this machine, with paths changed to that folder.
func buildImage(ctx context.Context, dockerfile, buildContext, dir string) (*image, error) {
	file, err := os.Open(dockerfile)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	parsed, err := parser.Parse(file)
	if err != nil {
		return nil, err
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return nil, err
	}
	built := map[string]*image{}
	var last *image
	for i, stage := range stages {
		last = &image{Root: filepath.Join(dir, fmt.Sprintf("stage%d", i)), Workdir: "/", base: stage.BaseName, owners: map[string]string{}}
		if err := os.Mkdir(last.Root, 0o755); err != nil {
			return nil, err
		}
		for _, command := range stage.Commands {
			if err := last.step(ctx, command, buildContext, built); err != nil {
				return nil, fmt.Errorf("%v: %w", command, err)
			}
		}
		built[stage.Name] = last
	}
	return last, nil
}

// step executes one instruction. An unsupported instruction is an error, so that none is skipped silently.
func (i *image) step(ctx context.Context, command instructions.Command, buildContext string, built map[string]*image) error {
	switch c := command.(type) {
	case *instructions.WorkdirCommand:
		i.Workdir = c.Path
		return os.MkdirAll(filepath.Join(i.Root, c.Path), 0o755)
	case *instructions.CopyCommand:
		return i.copy(c, buildContext, built)
	case *instructions.RunCommand:
		return i.run(ctx, c)
	case *instructions.UserCommand:
		i.User = c.User
	case *instructions.EnvCommand:
		for _, pair := range c.Env {
			i.Env = append(i.Env, pair.Key+"="+pair.Value)
		}
	case *instructions.ArgCommand:
		for _, arg := range c.Args {
			i.Env = append(i.Env, arg.Key+"=by-hand")
		}
	case *instructions.HealthCheckCommand:
		i.Health = c.Health.Test
	case *instructions.EntrypointCommand:
		i.Command, i.Shell = append(c.CmdLine, i.Command...), i.Shell || c.PrependShell
	case *instructions.CmdCommand:
		i.Command, i.Shell = append(i.Command, c.CmdLine...), i.Shell || c.PrependShell
	case *instructions.VolumeCommand, *instructions.ExposeCommand:
	default:
		return fmt.Errorf("the instruction %s is not supported", command.Name())
	}
	return nil
}

func (i *image) run(ctx context.Context, c *instructions.RunCommand) error {
	if i.base == "scratch" {
		return fmt.Errorf("scratch has no shell")
	}
	script := strings.Join(c.CmdLine, " ")
	script = strings.ReplaceAll(script, "/out", filepath.Join(i.Root, "out")) // the build stage writes its results to /out
	cmd := exec.CommandContext(ctx, "sh", "-euc", script)
	cmd.Dir = filepath.Join(i.Root, i.Workdir)
	cmd.Env = append(os.Environ(), i.Env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// copy copies from a stage, or from the build context without the files in .dockerignore.
func (i *image) copy(c *instructions.CopyCommand, buildContext string, built map[string]*image) error {
	from, ignored := buildContext, func(string) bool { return false }
	if c.From != "" {
		stage, ok := built[c.From]
		if !ok {
			return fmt.Errorf("no stage %s", c.From)
		}
		from = stage.Root
	} else {
		matcher, err := readIgnored(buildContext)
		if err != nil {
			return err
		}
		ignored = matcher
	}
	for _, source := range c.SourcePaths {
		target := filepath.Join(i.Root, c.DestPath)
		if !filepath.IsAbs(c.DestPath) {
			target = filepath.Join(i.Root, i.Workdir, c.DestPath)
		}
		path := filepath.Join(from, source)
		info, err := os.Stat(path)
		if os.IsNotExist(err) && c.From != "" {
			path = source // a file of the base image: use the one of this machine
			info, err = os.Stat(path)
		}
		if err != nil {
			return err
		}
		if !info.IsDir() && strings.HasSuffix(c.DestPath, "/") {
			target = filepath.Join(target, filepath.Base(source))
		}
		if err := copyTree(path, target, from, ignored); err != nil {
			return err
		}
		if c.Chown != "" {
			i.owners[c.DestPath] = c.Chown
		}
	}
	return nil
}

func readIgnored(dir string) (func(string) bool, error) {
	file, err := os.Open(filepath.Join(dir, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	return func(name string) bool {
		matches, err := matcher.MatchesOrParentMatches(name)
		return matches && err == nil
	}, nil
}

// copyTree copies a file, or the content of a folder, with file modes. ignored gets names relative to base.
func copyTree(from, to, base string, ignored func(string) bool) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		inContext, err := filepath.Rel(base, path)
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil //nolint:nilerr // a link to nowhere
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() && path != from && ignored(inContext):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, info.Mode().Perm())
		case ignored(inContext):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, text, info.Mode().Perm())
	})
}
