package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clientapps/clientapps/bench/dataset"
)

// options has the command-line options.
type options struct {
	args       []string
	size       dataset.Size
	scale      bool
	citus      bool
	slices     int
	slice      time.Duration
	rate       int
	conns      int
	workloads  []string // empty: all
	contenders []string // empty: all
	also       map[string]string
	product    string
	out        string
	profile    string // file for a profile, instead of measuring
	dir        string
	limit      time.Duration
	given      map[string]bool // flags on the command line
}

// defaultSize is the default size, and the small side of -scale.
var defaultSize = dataset.Size{Apps: 200_000, Clients: 200, Catalog: 5_000}

func parseOptions(args []string) (options, error) {
	o := options{args: args, also: map[string]string{}, given: map[string]bool{}}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.size.Apps, "apps", 0, "apps of all clients (default 200000; with -scale 10000000)")
	flags.IntVar(&o.size.Clients, "clients", 0, "clients (default 200; with -scale 10000)")
	flags.IntVar(&o.size.Catalog, "catalog", defaultSize.Catalog, "catalog apps")
	flags.BoolVar(&o.scale, "scale", false, "compare our server on many apps with itself on 200000")
	flags.BoolVar(&o.citus, "citus", false, "compare our server on a Citus cluster, which tools/with-citus starts, with itself on one PostgreSQL")
	flags.IntVar(&o.slices, "slices", 8, "slices of each contender under each load; without this flag "+fixedRate+" has 16")
	flags.DurationVar(&o.slice, "slice", 3*time.Second, "length of a slice, in whole seconds; without this flag "+fixedRate+" has 5s")
	flags.IntVar(&o.rate, "rate", 4000, "requests per second at the fixed rate")
	flags.IntVar(&o.conns, "conns", 16, "database connections of the references with a server; ours has its default")
	flags.Func("kinds", "loads to run, separated by commas (default all): "+strings.Join(workloadNames(), ", "), listOf(&o.workloads))
	flags.Func("contenders", "contenders to run, separated by commas (default all): "+strings.Join(contenderNames, ", "),
		listOf(&o.contenders))
	flags.Func("also", "NAME=DIR: another checkout of the server as a contender of that name; may be repeated", func(text string) error {
		name, dir, ok := strings.Cut(text, "=")
		if !ok || name == "" || slices.Contains(contenderNames, name) {
			return errors.New("want NAME=DIR with a new name")
		}
		o.also[name] = dir
		return nil
	})
	flags.StringVar(&o.product, "product", "..", "checkout of the server to measure")
	flags.StringVar(&o.out, "out", "", "file for the results, or none (default RESULTS.md; with -scale RESULTS-SCALE.md, with -citus RESULTS-CITUS.md)")
	flags.StringVar(&o.profile, "profile", "", "measure nothing: write a CPU profile for the compiler to this file; -kinds selects its loads (default "+
		strings.Join(profiledLoads, ", ")+")")
	flags.StringVar(&o.dir, "dir", "/tmp", "folder for the databases, on a real disk and not in memory")
	flags.DurationVar(&o.limit, "limit", 90*time.Minute, "time limit of the run")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	flags.Visit(func(f *flag.Flag) { o.given[f.Name] = true })
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	defaults, out := defaultSize, "RESULTS.md"
	if o.scale {
		defaults.Apps, defaults.Clients, out = 10_000_000, 10_000, "RESULTS-SCALE.md"
	}
	if o.citus {
		out = "RESULTS-CITUS.md"
	}
	if o.out == "" {
		o.out = out
	}
	if o.size.Apps == 0 {
		o.size.Apps = defaults.Apps
	}
	if o.size.Clients == 0 {
		o.size.Clients = defaults.Clients
	}
	return o, errors.Join(o.size.Validate(), o.check())
}

func (o options) check() error {
	for _, name := range o.workloads {
		if !slices.Contains(workloadNames(), name) {
			return fmt.Errorf("unknown load: %s", name)
		}
	}
	for _, name := range o.contenders {
		if _, ok := o.also[name]; !ok && !slices.Contains(contenderNames, name) {
			return fmt.Errorf("unknown contender: %s", name)
		}
	}
	if o.slices < 1 || o.slice < time.Second || o.slice%time.Second != 0 || o.rate < 1 || o.conns < 1 {
		return errors.New("at least one slice of whole seconds, one request per second and one connection are needed")
	}
	return nil
}

// wants reports whether a contender was requested.
func (o options) wants(name string) bool {
	if _, ok := o.also[name]; ok || len(o.contenders) == 0 {
		return true
	}
	return slices.Contains(o.contenders, name)
}

func listOf(list *[]string) func(string) error {
	return func(text string) error {
		for name := range strings.SplitSeq(text, ",") {
			*list = append(*list, strings.TrimSpace(name))
		}
		return nil
	}
}
