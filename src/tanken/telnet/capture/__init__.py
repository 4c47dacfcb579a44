"""Reading captures: `packets` (pcap and pcapng files) <- `reassembly` (TCP streams) <- `dialogue` (TELNET both ways) and `screen`.

Each file names its specification.
"""
