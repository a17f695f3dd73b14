package colour_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	_ "github.com/charmbracelet/bubbletea" // what the shim must precede
	"github.com/charmbracelet/lipgloss"
	"github.com/creack/pty"

	_ "faasctl/cli/colour"
)

// role is the environment variable that makes this test binary act as a
// program on a terminal.
const role = "FAASCTL_COLOUR_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "quiet": // what every verb does: be linked with Bubble Tea, and speak
		fmt.Print("output")
		os.Exit(0)
	case "asking": // what happens without the shim
		lipgloss.NewRenderer(os.Stdout).HasDarkBackground()
		fmt.Print("output")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestSilentTerminal runs a program on a terminal that answers no question: it
// must ask none.
func TestSilentTerminal(t *testing.T) {
	quickest := time.Hour
	for range 3 { // a busy machine may be slow once
		began := time.Now()
		if got := onTerminal(t, "quiet", "output"); got != "output" {
			t.Fatalf("the terminal got %q, want nothing but the output", got)
		}
		quickest = min(quickest, time.Since(began))
	}
	if quickest > time.Second {
		t.Errorf("it took %v", quickest)
	}
}

// TestAskingIsSeen proves that the test above would notice a question.
func TestAskingIsSeen(t *testing.T) {
	if got := onTerminal(t, "asking", "\x1b]11;?"); !bytes.Contains([]byte(got), []byte("\x1b]11;?")) {
		t.Errorf("the terminal got %q, and no question", got)
	}
}

// onTerminal starts this binary in a role on a terminal and returns what it
// wrote, until that contains enough or it ends.
func onTerminal(t *testing.T, as, enough string) string {
	t.Helper()
	program := exec.Command(os.Args[0])
	program.Env = []string{role + "=" + as, "TERM=xterm-256color",
		"GORACE=atexit_sleep_ms=0"} // the race detector would wait a second at exit
	terminal, err := pty.Start(program)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	watchdog := time.AfterFunc(20*time.Second, func() { _ = program.Process.Kill() })
	defer watchdog.Stop()
	var got bytes.Buffer
	buffer := make([]byte, 1024)
	for !bytes.Contains(got.Bytes(), []byte(enough)) {
		n, err := terminal.Read(buffer)
		got.Write(buffer[:n])
		if err != nil { // EIO: the program has ended
			break
		}
	}
	if as == "quiet" {
		rest, _ := io.ReadAll(terminal)
		got.Write(rest)
	} else {
		_ = program.Process.Kill()
	}
	_ = program.Wait()
	return got.String()
}
