import Testing
import X509
