"""What the host is: cgroup trees and who runs in them, names people know, CPUs and what they share.

The first room of `collectors`: it imports from `probes` alone. It reads small files and processes on request; it
must not keep counters, subtract readings or judge.
"""
