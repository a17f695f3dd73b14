package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/coretest/ports"
)

// A server that is away is asked again until it is back, and somebody is told.
func TestTheClientWaitsForTheServer(t *testing.T) {
	at := ports.At(ports.Reserve(t, 1))
	told := make(chan error, 10)
	var busy atomic.Int32
	c, err := New(Config{URL: at, Patience: time.Minute, Waiting: func(why error) { told <- why }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Retry(context.Background(), []core.TaskID{"x"}) // not idempotent, but it has not arrived
		if err == nil {
			_, err = c.Version(context.Background())
		}
		ended <- err
	}()
	if why := <-told; !errors.Is(why, core.ErrUnavailable) {
		t.Fatal(why)
	}
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			fmt.Fprint(w, `{"tasks":[{"id":"y"}]}`)
			return
		}
		if busy.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(503)
			return
		}
		fmt.Fprint(w, `{"version":"1"}`)
	})}}
	server.Start()
	defer server.Close()
	if err := <-ended; err != nil || busy.Load() != 2 {
		t.Fatal(err, busy.Load())
	}
}

func TestPatienceEnds(t *testing.T) {
	asked := atomic.Int32{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); w.WriteHeader(503) })
	c.patience = 300 * time.Millisecond
	if _, err := c.Version(context.Background()); !errors.Is(err, core.ErrUnavailable) || asked.Load() < 2 {
		t.Fatal(err, asked.Load())
	}
	asked.Store(0)
	if err := c.Ready(context.Background()); !errors.Is(err, core.ErrUnavailable) || asked.Load() != 1 {
		t.Fatal(err, asked.Load())
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	mine := errors.New("enough")
	c.patience, c.waiting = time.Hour, func(error) { cancel(mine) }
	if _, err := c.Version(ctx); !errors.Is(err, mine) {
		t.Fatal(err)
	}
}
