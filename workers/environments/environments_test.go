package environments

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"faasctl/core"
	"faasctl/workers/environments/wheeltest"
	"faasctl/workers/pyrun"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func python(t *testing.T) core.Interpreter {
	t.Helper()
	found, _, err := pyrun.Find(t.Context(), "")
	if err != nil {
		t.Skipf("SKIPPED: no interpreter with dill here: %v", err)
	}
	return found
}

// wheel writes a package without dependencies, but for requires, into a directory.
func wheel(t *testing.T, dir, name, version, text string, requires ...string) {
	t.Helper()
	if err := wheeltest.Write(dir, name, version, text, requires...); err != nil {
		t.Fatal(err)
	}
}

// wheels are two packages, one of which needs the other, and a broken one.
func wheels(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	wheel(t, dir, "inner", "1.0", "VALUE = 41\n")
	wheel(t, dir, "outer", "1.0", "import inner\ndef answer():\n    return inner.VALUE + 1\ndef main():\n    print(answer())\n", "inner>=1")
	wheel(t, dir, "outer", "2.0", "import inner\ndef answer():\n    return inner.VALUE + 2\ndef main():\n    print(answer())\n", "inner>=1")
	wheel(t, dir, "lonely", "1.0", "", "nowhere-to-be-found")
	return dir
}

func offline(t *testing.T, change ...func(*Config)) *Cache {
	t.Helper()
	t.Setenv("PIP_FIND_LINKS", "")
	cfg := Config{Dir: filepath.Join(t.TempDir(), "environments"), Offline: true, Wheels: []string{wheels(t)}}
	for _, f := range change {
		f(&cfg)
	}
	return New(cfg)
}

// answer runs what an environment has.
func answer(t *testing.T, c *Cache, key string) string {
	t.Helper()
	out, err := exec.Command(c.Python(key), "-c", "import outer; print(outer.answer())").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func quiet(string) {}

func TestAnEnvironmentIsMadeOnce(t *testing.T) {
	base := python(t)
	c := offline(t)
	var mu sync.Mutex
	installed := 0
	var group sync.WaitGroup
	for range 4 { // as four workers of one host
		group.Go(func() {
			if err := c.Ensure(t.Context(), base, []string{"outer==1.0"}, false, func(line string) {
				mu.Lock()
				defer mu.Unlock()
				t.Log(line)
				if strings.HasPrefix(line, "Successfully installed") || strings.HasPrefix(line, "Installed ") {
					installed++
				}
			}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if installed != 1 {
		t.Errorf("installed %d times", installed)
	}
	key := c.Key(base, []string{"outer==1.0"})
	if got := answer(t, c, key); got != "42" {
		t.Errorf("answer %s", got)
	}
	other := []string{"outer"}
	if err := c.Ensure(t.Context(), base, other, false, quiet); err != nil {
		t.Fatal(err)
	}
	if got := answer(t, c, c.Key(base, other)); got != "43" {
		t.Errorf("answer %s", got)
	}
	// Its scripts and tracebacks know the place where it is, and not where it was made.
	out, err := exec.Command(filepath.Join(c.Dir(), key, "bin", "outer-tool")).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "42" {
		t.Errorf("its script: %s %v", out, err)
	}
	out, err = exec.Command(c.Python(key), "-c", "import outer; print(outer.answer.__code__.co_filename); import dill").CombinedOutput()
	if want := filepath.Join(c.Dir(), key); err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("its code is at %s (%v), want %s", out, err, want)
	}
	if out, err := exec.Command(base.Path, "-c", "import outer").CombinedOutput(); err == nil {
		t.Errorf("the interpreter itself imports it: %s", out)
	}
	left, _ := filepath.Glob(filepath.Join(c.Dir(), ".build-*"))
	if len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// hashOf is how a requirements file names a wheel's contents.
func hashOf(t *testing.T, c *Cache, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.cfg.Wheels[0], file))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(" --hash=sha256:%x", sha256.Sum256(data))
}

func TestHashesAreChecked(t *testing.T) {
	base := python(t)
	installers := []bool{true} // NoUV
	if _, err := exec.LookPath("uv"); err == nil {
		installers = append(installers, false)
	}
	for _, noUV := range installers {
		c := offline(t, func(c *Config) { c.NoUV = noUV })
		inner, outer := hashOf(t, c, "inner-1.0-py3-none-any.whl"), hashOf(t, c, "outer-1.0-py3-none-any.whl")
		right := []string{"inner==1.0" + inner + outer, "outer==1.0" + outer}
		if err := c.Ensure(t.Context(), base, right, false, quiet); err != nil {
			t.Fatal(err)
		}
		if got := answer(t, c, c.Key(base, right)); got != "42" {
			t.Errorf("answer %s", got)
		}
		for what, list := range map[string][]string{
			"another file's hash":       {"inner==1.0" + outer, "outer==1.0" + outer},
			"what it needs has no hash": {"outer==1.0" + outer},
		} {
			var failure *Failure
			if err := c.Ensure(t.Context(), base, list, false, quiet); !errors.As(err, &failure) {
				t.Errorf("%s: %v", what, err)
			} else if !strings.Contains(strings.ToLower(failure.Output), "hash") || !strings.Contains(failure.Message, "(checked by hash)") {
				t.Errorf("%s: %+v", what, failure)
			} else if !strings.Contains(strings.ToLower(failure.Message[strings.Index(failure.Message, "be made"):]), "hash") {
				t.Errorf("%s: its message does not say what is wrong: %s", what, failure.Message)
			}
		}
	}
}

func TestAFailureTellsWhyAndIsRememberedBriefly(t *testing.T) {
	base := python(t)
	c := offline(t, func(c *Config) { c.Remember = time.Hour })
	builds := 0
	try := func(again bool) *Failure {
		t.Helper()
		err := c.Ensure(t.Context(), base, []string{"lonely"}, again, func(line string) {
			if strings.Contains(line, "lonely") && strings.Contains(line, "rocessing") || strings.Contains(line, "No solution") {
				builds++
			}
		})
		var failure *Failure
		if !errors.As(err, &failure) {
			t.Fatalf("%v", err)
		}
		return failure
	}
	first := try(false)
	if !strings.Contains(first.Message, "lonely cannot be made for Python "+base.Version) || !strings.Contains(first.Output, "nowhere-to-be-found") {
		t.Errorf("%+v", first)
	}
	n := builds
	if again := try(false); !again.At.Equal(first.At) && builds != n {
		t.Errorf("it was tried again after %s", again.At.Sub(first.At))
	}
	if try(true); builds == n {
		t.Errorf("it was not tried again although it was asked for")
	}
	if _, err := os.Stat(c.Python(c.Key(base, []string{"lonely"}))); err == nil {
		t.Error("a half-made environment has its name")
	}
}

func TestAPackageWithoutWheelSaysWhatToDo(t *testing.T) {
	base := python(t)
	c := offline(t, func(c *Config) { c.NoUV = true })
	c.wheelsOnly = true
	sdist(t, c.cfg.Wheels[0], "raw", "1.0")
	for dependency, want := range map[string]bool{"raw": true, "outer==1.0 ; python_version <": false} {
		var failure *Failure
		if err := c.Ensure(t.Context(), base, []string{dependency}, false, quiet); !errors.As(err, &failure) {
			t.Fatalf("%s: %v", dependency, err)
		}
		got := strings.Contains(failure.Message, "runs as root and installs only wheels") && strings.Contains(failure.Message, "pip wheel PACKAGE -w DIR")
		if got != want {
			t.Errorf("%s: %s", dependency, failure.Message)
		}
	}
}

// sdist writes the source of a package that can only be built.
func sdist(t *testing.T, dir, name, version string) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, name+"-"+version+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(file)
	archive := tar.NewWriter(packed)
	for path, text := range map[string]string{
		"PKG-INFO": "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n",
		"setup.py": "import setuptools\nsetuptools.setup(name='" + name + "', version='" + version + "')\n",
	} {
		header := &tar.Header{Name: name + "-" + version + "/" + path, Mode: 0o644, Size: int64(len(text))}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), packed.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestACancelledBuildIsNoFailure(t *testing.T) {
	base := python(t)
	c := offline(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Ensure(ctx, base, []string{"outer"}, false, func(string) { cancel() })
	cancel()
	if failure := (*Failure)(nil); err == nil || errors.As(err, &failure) {
		t.Fatalf("%v", err)
	}
	if err := c.Ensure(t.Context(), base, []string{"outer"}, false, quiet); err != nil {
		t.Fatal(err)
	}
}

func TestTheLeastUsedGoesButNoneInUse(t *testing.T) {
	base := python(t)
	c := offline(t)
	sets := [][]string{{"inner"}, {"outer==1.0"}, {"outer==2.0"}, {"inner==1.0"}}
	for _, set := range sets[:3] {
		if err := c.Ensure(t.Context(), base, set, false, quiet); err != nil {
			t.Fatal(err)
		}
	}
	age := func(set []string, ago time.Duration) {
		t.Helper()
		if err := os.Chtimes(filepath.Join(c.Dir(), c.Key(base, set), useFile), time.Time{}, time.Now().Add(-ago)); err != nil {
			t.Fatal(err)
		}
	}
	held, err := c.Hold(c.Key(base, sets[0]))
	if err != nil {
		t.Fatal(err)
	}
	age(sets[0], 3*time.Hour) // oldest, and in use
	age(sets[1], 2*time.Hour)
	age(sets[2], time.Hour)
	c.cfg.MaxBytes = c.size(c.Key(base, sets[0])) + 2*c.size(c.Key(base, sets[1])) + 1000
	if err := c.Ensure(t.Context(), base, sets[3], false, quiet); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, true, true} {
		if c.there(c.Key(base, sets[i])) != want {
			t.Errorf("%v is there: %v", sets[i], !want)
		}
	}
	if _, err := c.Hold(c.Key(base, sets[1])); !errors.Is(err, core.ErrGone) {
		t.Errorf("Hold of a removed one: %v", err)
	}
	held.Close()
	age(sets[0], 3*time.Hour)
	c.cfg.MaxBytes = 1
	c.evict(c.Key(base, sets[3]))
	for i, want := range []bool{false, false, false, true} {
		if c.there(c.Key(base, sets[i])) != want {
			t.Errorf("then %v is there: %v", sets[i], !want)
		}
	}
}

// Where an index can be reached, one real package; nowhere is it named.
func TestARealPackage(t *testing.T) {
	base := python(t)
	if testing.Short() {
		t.Skip("asks a package index")
	}
	probe, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(probe, base.Path, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "-q", "-d", t.TempDir(), "iniconfig").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: no package index can be reached from here: %v %.200s", err, out)
	}
	c := New(Config{Dir: filepath.Join(t.TempDir(), "environments")})
	if err := c.Ensure(t.Context(), base, []string{"iniconfig"}, false, func(line string) { t.Log(line) }); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(c.Python(c.Key(base, []string{"iniconfig"})), "-c", "import iniconfig").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
