package machine

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// System describes the machine in general terms.
func System() string {
	name := runtime.GOOS
	if file, err := os.Open("/etc/os-release"); err == nil {
		defer func() { _ = file.Close() }()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if value, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
				name = strings.Trim(value, `"`)
			}
		}
	}
	return fmt.Sprintf("%d cores, %s (%s/%s)", runtime.NumCPU(), name, runtime.GOOS, runtime.GOARCH)
}

// LoadAverage returns the load average of the last minute: before a run, the other activity on the machine. It is "unknown" when the
// kernel does not provide it.
func LoadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	average, _, found := strings.Cut(string(text), " ")
	if err != nil || !found {
		return "unknown"
	}
	return average
}

// tmpfs is the magic number of a file system in memory.
const tmpfs = 0x01021994

// OnDisk reports whether files in the directory are on a disk and not in memory.
func OnDisk(dir string) (bool, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return false, err
	}
	return fs.Type != tmpfs, nil
}

// Flush returns the median time to write and flush a page of 8 KiB in this directory.
func Flush(dir string) (time.Duration, error) {
	file, err := os.Create(filepath.Join(dir, "flush")) //nolint:gosec // a path of our own
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}()
	page := make([]byte, 8<<10)
	times := make([]time.Duration, 0, 100)
	for i := range cap(times) + 1 {
		start := time.Now()
		if _, err := file.WriteAt(page, 0); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(file.Fd())); err != nil {
			return 0, err
		}
		if i > 0 { // the first write creates the file
			times = append(times, time.Since(start))
		}
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
