package zmqloop

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"faasctl/core"
)

func TestBadKeysAreNotTakenForGood(t *testing.T) {
	k := key(t)
	for name, server := range map[string]ServerCurve{
		"an empty secret":  {Allow: t.TempDir()},
		"a short secret":   {Secret: "abc", Allow: t.TempDir()},
		"no Z85":           {Secret: strings.Repeat("~", 40), Allow: t.TempDir()},
		"no directory":     {Secret: k.Secret, Allow: filepath.Join(t.TempDir(), "none")},
		"not a multiple":   {Secret: k.Secret + "a", Allow: t.TempDir()},
		"a secret of nuls": {Secret: strings.Repeat("\x00", 40), Allow: t.TempDir()},
	} {
		if _, err := New(Config{Owner: &player{}, Server: &server}); core.ClassOf(err) != core.ErrInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := key(t)
	for name, client := range map[string]ClientCurve{
		"no server":     {Key: k},
		"halves of two": {Key: KeyPair{Public: other.Public, Secret: k.Secret}, Server: other.Public},
		"no secret":     {Key: KeyPair{Public: k.Public}, Server: other.Public},
	} {
		if _, err := New(Config{Owner: &player{}, Client: &client}); core.ClassOf(err) != core.ErrInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	k := key(t)
	if err := WriteKeyPair(dir, "w1", k); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "w1.key")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if got, err := LoadSecret(path); err != nil || got != k {
		t.Fatalf("%+v %v", got, err)
	}
	if got, err := LoadPublic(filepath.Join(dir, "w1.pub")); err != nil || got != k.Public {
		t.Fatalf("%q %v", got, err)
	}
	if err := WriteKeyPair(dir, "w1", key(t)); core.ClassOf(err) != core.ErrConflict {
		t.Errorf("a key was overwritten: %v", err)
	}
	for _, name := range []string{"", "../x", "a/b", ".hidden", strings.Repeat("n", 65)} {
		if err := WriteKeyPair(dir, name, k); core.ClassOf(err) != core.ErrInvalid {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSecret(path); core.ClassOf(err) != core.ErrForbidden || core.HintOf(err) == "" {
		t.Errorf("a key that others can read: %v", err)
	}
	if _, err := LoadSecret(filepath.Join(dir, "none.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"localhost:5555": "tcp://localhost:5555", "tcp://10.0.0.1:5555": "tcp://10.0.0.1:5555", "[::1]:5555": "tcp://[::1]:5555",
		"": "", "5555": "", "ipc:///tmp/x": "", "host:": "", ":5555": "", "host:70000": "", "tcp://a;b:1": "", "*:5555": "",
	} {
		got, err := Address(text)
		if got != want || (err == nil) != (want != "") || err != nil && core.ClassOf(err) != core.ErrInvalid {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
	for address, near := range map[string]bool{
		"tcp://127.0.0.1:1": true, "tcp://127.9.9.9:1": true, "tcp://[::1]:1": true, "tcp://localhost:1": true, "tcp://[::ffff:127.0.0.1]:1": true,
		"tcp://0.0.0.0:1": false, "tcp://10.0.0.1:1": false, "tcp://[::]:1": false, "tcp://localhost.example.com:1": false,
	} {
		if err := CheckReach(address, false, false); (err == nil) != near {
			t.Errorf("%s: %v", address, err)
		}
		if CheckReach(address, true, false) != nil || CheckReach(address, false, true) != nil {
			t.Errorf("%s is refused with keys, or against all advice", address)
		}
	}
}

// A key that cannot be written says why and what to do, and leaves no half behind.
func TestKeysThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	locked := t.TempDir()
	if err := os.Chmod(locked, 0o500); err != nil {
		t.Fatal(err)
	}
	cases := map[string]*core.Class{filepath.Join(t.TempDir(), "none"): core.ErrInvalid, filepath.Join(file, "below"): core.ErrInvalid}
	if os.Getuid() != 0 { // whom no mode keeps out
		cases[locked] = core.ErrForbidden
	}
	for dir, class := range cases {
		if err := WriteKeyPair(dir, "w1", key(t)); core.ClassOf(err) != class || core.HintOf(err) == "" {
			t.Errorf("%s: %v (%v)", dir, err, core.ClassOf(err))
		}
	}
	for cause, class := range map[error]*core.Class{
		fs.ErrPermission: core.ErrForbidden, syscall.EROFS: core.ErrForbidden, fs.ErrExist: core.ErrConflict, syscall.ENOTDIR: core.ErrInvalid,
		syscall.ENOSPC: core.ErrUnavailable,
	} {
		if err := writeError("dir/w1.key", &fs.PathError{Op: "open", Path: "dir/w1.key", Err: cause}); core.ClassOf(err) != class || core.HintOf(err) == "" || !errors.Is(err, cause) {
			t.Errorf("%v: %v (%v)", cause, err, core.ClassOf(err))
		}
	}
	// The public half is in nobody's way when it is looked for, and cannot be
	// written all the same.
	dir := t.TempDir()
	half := filepath.Join(dir, "w1.pub")
	if err := writeNew(half, "x", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeBoth(filepath.Join(dir, "w1.key"), half, key(t)); core.ClassOf(err) != core.ErrConflict {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "w1.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a key is left: %v", err)
	}
}

func TestBindable(t *testing.T) {
	for text, want := range map[string]string{
		"localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "0.0.0.0": "0.0.0.0", "::1": "::1", "[::1]": "::1", "10.1.2.3": "10.1.2.3",
		"box": "", "": "", "eth0": "", "*": "", "127.0.0.1:1": "", "[[::1]]": "",
	} {
		ip, err := Bindable(text)
		if (err == nil) != (want != "") || err == nil && ip.String() != want || err != nil && (core.ClassOf(err) != core.ErrInvalid || core.HintOf(err) == "") {
			t.Errorf("%q: %v %v", text, ip, err)
		}
	}
}
