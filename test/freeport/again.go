package freeport

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// againLimit is how long a socket that was closed may stay in a child process that has not executed its program yet.
const againLimit = 15 * time.Second

// TryAgain calls open, which listens at ports that this process has closed, until they are free. A child that another
// test forks meanwhile has the old sockets until it executes its program, which may take a while on a busy computer.
func TryAgain(open func() error) error {
	for deadline := time.Now().Add(againLimit); ; {
		err := open()
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ListenAgain listens at a TCP address that this process has closed.
func ListenAgain(address string) (l net.Listener, err error) {
	err = TryAgain(func() error {
		l, err = net.Listen("tcp", address) //nolint:noctx // at once
		return err
	})
	return l, err
}
