// Command nothing does nothing: its time is the minimum for any Go program.
package main

func main() {}
