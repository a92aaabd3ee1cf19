import SluiceDaemon

run()
