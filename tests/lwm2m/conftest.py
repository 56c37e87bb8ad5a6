from server_rig import clock, connect, device, faults, peer, server, timeline

__all__ = ["clock", "connect", "device", "faults", "peer", "server", "timeline"]
